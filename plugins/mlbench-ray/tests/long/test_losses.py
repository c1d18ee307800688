"""A node that is killed, and a driver that is killed and resumed, lose no finished trial."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from mlbench_core import Config, Results, Suite
from mlbench_core.errors import ConfigError
from mlbench_core.record import Record
from mlbench_core.trial import Trial

SLOW = {"min_seconds": 1.0, "value_seconds": 0.05}
"""Trials that last long enough to be killed in."""
MLBENCH = [sys.executable, "-c", "from mlbench_core.cli import main; main()"]
PATIENCE_S = 120


class Killer:
    """Kills the node of the third trial that measures; `run` is the whole run."""

    def __init__(self, nodes: Any, suite: Suite) -> None:
        self.nodes, self.suite = nodes, suite
        self.records: list[Record] = []
        self.measuring = 0
        self.killed = ""

    def __call__(self, trial: Trial, event: dict[str, Any]) -> None:
        if event["event"] == "record":
            self.records.append(event["record"])
        if event == {"event": "phase", "name": "measure"} and not self.killed:
            self.measuring += 1
            if len(self.records) >= 2:
                victim = self.nodes.nodes[0]
                self.killed = victim.node_id[:8]
                self.nodes.kill(victim)


def keys_of(short: dict[str, Any], nodes: Any, **more: Any) -> dict[str, Any]:
    return {
        **short,
        "measure": {**short["measure"], **SLOW},
        "executor": "ray",
        "executor_options": {"address": nodes.address},
        "blocks": 2,
        **more,
    }


@pytest.mark.parametrize("retries", [1, 0])
def test_a_node_that_is_killed_loses_no_finished_trial(three_nodes: Any, short: dict[str, Any], retries: int) -> None:
    suite = Suite(**keys_of(short, three_nodes, node_lost_retries=retries))
    killer = Killer(three_nodes, suite)
    results = suite.run(killer, verify=False)
    assert killer.killed
    lost = [record for record in killer.records if record.status == "node-lost"]
    assert lost, "the node had nothing to do when it was killed"
    assert all(record.place.endswith(killer.killed) and record.ending.phase for record in lost)
    last = max(killer.records.index(record) for record in lost)
    assert not [record for record in killer.records[last + 1 :] if record.place.endswith(killer.killed)]
    finished = {record.trial: record for record in killer.records if record.status == "ok"}
    kept = {record.trial: record for record in results.records}
    assert set(kept) == set(suite.trials)
    assert {trial: record.status for trial, record in kept.items() if record.status != "ok"} == (
        {} if retries else {record.trial: "node-lost" for record in lost}
    )
    assert {trial: kept[trial] for trial in finished} == finished
    # What was lost and not repeated is run by a resumed run.
    again = Suite(**keys_of(short, three_nodes, node_lost_retries=retries)).run(verify=False, resume=True)
    assert {record.status for record in again.records} == {"ok"}


def records_in(journal: Path) -> list[dict[str, Any]]:
    if not journal.exists():
        return []
    lines = (line for line in journal.read_text().splitlines() if '"kind":"record"' in line.replace(" ", "")[:60])
    return [json.loads(line)["data"] for line in lines]


def test_a_driver_that_is_killed_and_resumed_loses_no_finished_trial(
    three_nodes: Any, short: dict[str, Any], tmp_path: Path, environ: dict[str, str]
) -> None:
    output = Path(short["output"])
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(keys_of(short, three_nodes)))
    assert Config.load(str(tmp_path / "run.yaml")).executor == "ray"
    command = [*MLBENCH, "run", "--config", str(tmp_path / "run.yaml"), "--no-verify"]
    driver = subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=subprocess.DEVNULL)
    end = time.monotonic() + PATIENCE_S
    while len(records_in(output / "journal.jsonl")) < 5 and time.monotonic() < end:
        assert driver.poll() is None
        time.sleep(0.1)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    before = records_in(output / "journal.jsonl")
    assert len(before) >= 5
    subprocess.run([*MLBENCH, "resume", str(output)], cwd=tmp_path, env=environ, check=True, timeout=PATIENCE_S)
    results = Results.load(str(output))
    assert {record.status for record in results.records} == {"ok"}
    assert len(results.records) == 2 * 2 * (3 + 1)
    begun = {record.started for record in results.records}
    whole = [one for one in before if one["started"] in begun]
    assert len(whole) >= 4, "a block that had ended was run again"


def test_ctrl_c_ends_workers_and_keeps_what_had_ended(
    three_nodes: Any, short: dict[str, Any], tmp_path: Path, environ: dict[str, str]
) -> None:
    output = Path(short["output"])
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(keys_of(short, three_nodes)))
    command = [*MLBENCH, "run", "--config", str(tmp_path / "run.yaml"), "--no-verify", "--quiet"]
    driver = subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=subprocess.DEVNULL)
    end = time.monotonic() + PATIENCE_S
    while len(records_in(output / "journal.jsonl")) < 3 and time.monotonic() < end:
        assert driver.poll() is None
        time.sleep(0.1)
    driver.send_signal(signal.SIGINT)
    assert driver.wait(PATIENCE_S) == 130
    mine = [
        one for one in psutil.Process().children(recursive=True) if "mlbench_core.worker" in " ".join(one.cmdline())
    ]
    assert not mine, "a worker goes on on a node"
    results = Results.load(str(output))
    assert results.interrupted
    assert {record.status for record in results.records} == {"ok"}
    assert {record.started for record in results.records} == {
        one["started"] for one in records_in(output / "journal.jsonl")
    }


def test_two_nodes_are_one_team_and_a_lost_one_is_replaced(three_nodes: Any, short: dict[str, Any]) -> None:
    keys = keys_of(short, three_nodes, frameworks=["fake"], batch_sizes=[8], num_nodes=2)
    records: list[Record] = []
    killed = ""

    def follow(_trial: Trial, event: dict[str, Any]) -> None:
        nonlocal killed
        if event["event"] == "record":
            records.append(event["record"])
        if event == {"event": "phase", "name": "measure"} and not killed:
            # The first team are the first two by name; the second of them follows.
            victim = sorted(three_nodes.nodes, key=lambda node: node.node_id[:8])[1]
            killed = victim.node_id[:8]
            three_nodes.kill(victim)

    results = Suite(**keys).run(follow, verify=False)
    assert [record.status for record in records] == ["node-lost", "ok", "ok"], [record.reason for record in records]
    assert killed in records[0].reason
    assert {record.status for record in results.records} == {"ok"}
    assert {(record.trial.task, record.trial.num_nodes) for record in results.records} == {("train", 2)}
    assert not [
        one for one in psutil.Process().children(recursive=True) if "mlbench_core.worker" in " ".join(one.cmdline())
    ]


def test_more_nodes_than_there_are_is_one_line(three_nodes: Any, short: dict[str, Any]) -> None:
    suite = Suite(**keys_of(short, three_nodes, frameworks=["fake"], batch_sizes=[8], num_nodes=4))
    with pytest.raises(ConfigError, match="num_nodes: there are no 4 nodes that are alike; there are: "):
        suite.run(verify=False)
