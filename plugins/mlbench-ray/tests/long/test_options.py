"""From outside, through Ray's client; and several trials on a node at once."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.cluster_utils import Cluster

from mlbench_core import Results, Suite

PATIENCE_S = 300


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def client_address() -> Iterator[str]:
    port = free_port()
    node = {"object_store_memory": 100 * 2**20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "ray_client_server_port": port, **node})
    for _ in range(2):
        cluster.add_node(num_cpus=1, resources={"mlbench": 1}, **node)
    cluster.wait_for_nodes()
    yield f"ray://127.0.0.1:{port}"
    cluster.shutdown()


# Ray leaves its client server's log open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_run_from_outside_the_cluster(
    client_address: str, short: dict[str, Any], tmp_path: Path, environ: dict[str, str]
) -> None:
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(short))
    command = [sys.executable, "-c", "from mlbench_core.cli import main; main()", "run", "--config", "run.yaml"]
    command += ["--executor", "ray", "--address", client_address, "--no-verify"]
    # Ray's proxy of clients forks beside gRPC's threads, which on a machine with much to do fails at times.
    for _ in range(2):
        done = subprocess.run(command, cwd=tmp_path, env=environ, timeout=PATIENCE_S, capture_output=True, text=True)
        if "cannot be reached" not in done.stderr:
            break
    # 1: a number is rejected, as a busy machine makes happen; how each trial ended is looked at below.
    assert done.returncode in (0, 1), done.stdout[-2000:] + done.stderr[-2000:]
    results = Results.load(short["output"])
    assert {record.status for record in results.records} == {"ok"}
    assert len(results.records) == 2 * (3 + 1)
    assert len({record.place for record in results.records}) == 2


def test_several_trials_on_a_node_at_once(three_nodes: Any, short: dict[str, Any]) -> None:
    options = {"address": three_nodes.address, "trials_per_node": 2}
    suite = Suite(**{**short, "batch_sizes": [2, 4, 8, 16, 32]}, executor="ray", executor_options=options)
    assert suite.places == {"": 6}
    results = suite.run(verify=False)
    assert {record.status for record in results.records} == {"ok"}
    places = {record.place for record in results.records}
    nodes = {place.rpartition(".")[0] for place in places}
    assert (len(places), len(nodes)) == (6, 3)
    assert {place.rpartition(".")[2] for place in places} == {"0", "1"}
    # A batch is shared by two nodes, not by two places on one.
    together = Suite(**{**short, "frameworks": ["fake"]}, executor="ray", executor_options=options, num_nodes=2)
    assert together.places == {"": 1}
