"""The conformance kit on Lion; and a run that trains with it."""

from pathlib import Path

import pytest

from mlbench_core import Suite
from mlbench_core.testing.optimizers import OptimizerConformance
from mlbench_lion.plugin import register_optimizers


class TestLion(OptimizerConformance):
    descriptor = register_optimizers()[0]
    frameworks = ("numpy", "pytorch", "tensorflow", "jax")


def test_a_run_trains_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    quick = {"min_seconds": 0.05, "max_seconds": 0.1, "latency_steps": 10, "queries": 10}
    suite = Suite(
        frameworks=["pytorch", "tensorflow", "jax"],
        models=["mlp"],
        optimizer={"mlp": "lion"},
        num_epochs=2,
        measure=quick,
    )
    results = suite.run()
    assert {record.trial.optimizer for record in results.records} == {"lion"}
    assert {record.status for record in results.records} == {"ok"}
    assert {one.verdict for one in results.parity} == {"verified"}
    losses = [record.measured.epochs[-1].loss for record in results.records if record.measured.epochs]
    assert len(losses) == 3
    assert max(losses) - min(losses) < 1e-3 * max(losses), "the same rule from the same weights on the same batches"
