"""Several nodes with equal shares of each batch train as one device with the whole, or the ladder says that they do not; and
one that fails ends them all.

The nodes are two places on this machine, with a worker each, that meet over TCP as those of a cluster do. The ladder's
lock-step compares 25 float64 steps with the reference's, which has one device.
"""

import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from normed import MODEL
from threads import FILE

from mlbench_core import Suite
from mlbench_core.record import Record
from mlbench_core.trial import Trial
from mlbench_core.verify.rungs import LOCK_STEPS

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlbenchfile.py").write_text(FILE + MODEL)
    monkeypatch.chdir(tmp_path)


def logs() -> str:
    return "".join(f"{path}: {path.read_text()[-2000:]}" for path in Path("out/logs").glob("*.log"))


@pytest.mark.parametrize(
    ("framework", "device"),
    [("pytorch", "cpu"), ("jax", "cpu"), ("pytorch", "cpu*2"), ("jax", "cpu*2")],
)
def test_two_nodes_train_as_one_device(framework: str, device: str) -> None:
    suite = Suite(
        frameworks=[framework], models=["normed", "bert-tiny"], dataset="synthetic", devices=[device], output="out",
        executor="two", num_nodes=2, threads=1,
    )  # fmt: skip
    results = suite.verify(fresh=True)
    assert {r.model: (r.verdict, r.why) for r in results} == dict.fromkeys(("normed", "bert-tiny"), ("verified", "")), (
        logs()
    )
    assert LOCK_STEPS >= 10
    for result in results:
        (losses,) = [rung for rung in result.rungs if rung.name == "lock-step losses"]
        assert losses.error <= 1e-9


# Faults in how a group works together. Each is a module that the workers of both nodes import before they make a session.
GRADIENTS_STAY = """
from mlbench_torch import ranks

ranks.DistributedDataParallel = lambda module, *_, **__: module
"""
STATISTICS_STAY = """
from mlbench_torch import ranks

ranks.synchronize = lambda *_: []
"""
# The statistics, of which every process has a row, are summed; what is summed on the way back is this node's own part.
STATISTICS_STAY_ON_THE_WAY_BACK = """
from mlbench_torch import synchronized

summed = synchronized.sum_over_processes
synchronized.sum_over_processes = lambda value: summed(value) if value.dim() == 3 else value
"""
# Training looks at the whole batch; only the mean that is kept for inference is that of this node's share.
RUNNING_MEAN_STAYS = """
from mlbench_torch import synchronized

over_processes, keep, own = synchronized._over_processes, synchronized.Written._keep, []


def noted(mean, variance):
    own[:] = [mean.detach()]
    return over_processes(mean, variance)


synchronized._over_processes = noted
synchronized.Written._keep = lambda norm, mean, variance: keep(norm, *own, variance)
"""
# XLA sums by where the arrays lie, so nothing can be left out but the group itself: each node has arrays of its own.
NODES_STAY_ALONE = """
from attrs import evolve
from mlbench_jax import settings

placement = settings.placement
settings.placement = lambda plan, there: placement(evolve(plan, members=()), there)
"""


@pytest.mark.parametrize(
    ("framework", "fault", "rung", "where"),
    [
        # The first loss is that of the weights all begin with; the first update is what differs.
        ("pytorch", GRADIENTS_STAY, "lock-step losses", "step 2"),
        # Normalised by other statistics, the first loss is another already.
        ("pytorch", STATISTICS_STAY, "lock-step losses", "step 1"),
        ("pytorch", STATISTICS_STAY_ON_THE_WAY_BACK, "lock-step losses", "step 2"),
        # No training step reads it, so that no loss can tell.
        ("pytorch", RUNNING_MEAN_STAYS, "lock-step weights", "1.mean"),
        # The first loss is of half of the batch.
        ("jax", NODES_STAY_ALONE, "lock-step losses", "step 1"),
    ],
    ids=["gradients", "statistics", "statistics-back", "running-mean", "nodes"],
)
def test_a_group_that_does_not_work_together_is_caught(
    framework: str, fault: str, rung: str, where: str, tmp_path: Path
) -> None:
    """Lock-step is the first rung on which the nodes share a batch: whatever an earlier one asks for, the leader does alone."""
    source = 'ModelSource("mlbenchfile:normed"'
    assert MODEL.count(source) == 1
    planted = MODEL.replace(source, f'{source}, lowerings={{"{framework}": "planted"}}')
    (tmp_path / "mlbenchfile.py").write_text(FILE + planted)
    (tmp_path / "planted.py").write_text(fault)
    suite = Suite(
        frameworks=[framework], models=["normed"], dataset="synthetic", output="out", executor="two", num_nodes=2,
        threads=1,
    )  # fmt: skip
    (result,) = suite.verify(fresh=True)
    assert (result.verdict, result.error) == ("failed", ""), logs()
    (failure,) = [each for each in result.rungs if not each.passed]
    assert (failure.number, failure.name, failure.where) == (6, rung, where), failure.describe()


def test_what_cannot_train_on_several_nodes_says_so() -> None:
    suite = Suite(frameworks=["tensorflow"], dataset="synthetic", output="out", executor="two", num_nodes=2)
    (result,) = suite.verify(fresh=True)
    assert result.verdict == "unverified"
    assert result.why.endswith(
        "tensorflow cannot train on several nodes: it shares batches among cpu and cuda devices of one node"
    )


@pytest.fixture
def keys(quick: dict[str, float]) -> dict[str, Any]:
    return {
        "frameworks": ["pytorch"], "models": ["mlp"], "batch_sizes": [32], "num_epochs": 1, "measure": quick,
        "executor": "two", "num_nodes": 2, "threads": 1, "output": "out",
    }  # fmt: skip


def test_a_run_trains_on_two_nodes(keys: dict[str, Any]) -> None:
    results = Suite(**{**keys, "frameworks": ["pytorch", "jax"]}).run(verify=False)
    assert {record.status for record in results.records} == {"ok"}, [r.reason for r in results.records] + [logs()]
    assert {(r.trial.task, r.trial.num_nodes, r.place) for r in results.records} == {("train", 2, "one")}
    for row, record in zip(results.rows, sorted(results.records, key=lambda r: r.trial.framework), strict=True):
        assert (row.num_nodes, row.status) == (2, "ok")
        assert record.measured.knobs["nodes"] == "2"
        assert row.final_val_accuracy is not None
        assert row.final_val_accuracy > 0.5
    for record in results.records:
        row = next(row for row in results.rows if row.framework == record.trial.framework)
        assert row.samples_per_second == pytest.approx(32 / record.seconds_per_step(), rel=0.5)  # each sample once
    (comparison, *_) = [c for c in results.comparisons if c.primary]
    assert "mlp on cpu on 2 x node" in comparison.describe()


def workers() -> list[psutil.Process]:
    """Those of the run, the leader first."""
    found = [
        each for each in psutil.Process().children(recursive=True)
        if each.status() != psutil.STATUS_ZOMBIE and "mlbench_core.worker" in " ".join(each.cmdline())
    ]  # fmt: skip
    return sorted(found, key=lambda each: each.create_time())


@pytest.mark.parametrize(
    ("number", "what", "status", "reason"),
    [
        (0, signal.SIGKILL, "crashed", "the worker was killed by SIGKILL"),
        (1, signal.SIGKILL, "crashed", "the worker was killed by SIGKILL"),
        (1, signal.SIGSTOP, "timeout", "time_limit_s"),
    ],
)
def test_one_that_fails_ends_them_all(
    keys: dict[str, Any], number: int, what: signal.Signals, status: str, reason: str
) -> None:
    def strike(_trial: Trial, event: dict[str, Any]) -> None:
        if event == {"event": "phase", "name": "warmup"}:
            os.kill(workers()[number].pid, what)

    start = time.monotonic()
    measure = {**keys["measure"], "warmup_seconds": 600}
    results = Suite(**{**keys, "measure": measure, "time_limit_s": 30}).run(strike, verify=False)
    record: Record
    (record,) = results.records
    assert (record.status, reason in record.reason) == (status, True), record.reason
    assert time.monotonic() - start < 90
    assert not workers()
