"""A cluster of three nodes on this machine, and a run that is over soon."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.cluster_utils import Cluster

from mlbench_ray.executor import disconnect

STORE_BYTES = 100 * 2**20
QUICK = {
    "warmup_steps": 1, "warmup_seconds": 0, "value_seconds": 0.001, "min_values": 3, "min_seconds": 0, "steady_limit": 0,
    "latency_steps": 3, "queries": 3,
}  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def own_cache() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLBENCH_CACHE", folder)
        patch.setenv("MLBENCH_DISABLE_PLUGINS", "report")
        yield


@pytest.fixture(scope="session")
def environ(own_cache: None) -> dict[str, str]:
    """For subprocesses of a test."""
    return dict(os.environ)


class Nodes:
    """A Ray cluster whose head measures nothing."""

    def __init__(self, count: int) -> None:
        self.cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "object_store_memory": STORE_BYTES, "include_dashboard": False},
        )
        self.nodes = [self.add() for _ in range(count)]
        self.cluster.wait_for_nodes()

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add(self, **more: Any) -> Any:
        return self.cluster.add_node(
            num_cpus=1, resources={"mlbench": 1}, object_store_memory=STORE_BYTES, include_dashboard=False, **more
        )

    def kill(self, node: Any) -> None:
        self.cluster.remove_node(node, allow_graceful=False)

    def close(self) -> None:
        disconnect()
        self.cluster.shutdown()


@pytest.fixture
def three_nodes() -> Iterator[Nodes]:
    nodes = Nodes(3)
    yield nodes
    nodes.close()


@pytest.fixture
def short(tmp_path: Path) -> dict[str, Any]:
    """Keys of a run of eight trials that are over at once."""
    return {
        "frameworks": ["numpy", "fake"],
        "models": ["mlp"],
        "dataset": "synthetic:8/2@64",
        "batch_sizes": [8, 16, 32],
        "num_epochs": 1,
        "threads": 1,
        "measure": QUICK,
        "output": str(tmp_path / "out"),
    }
