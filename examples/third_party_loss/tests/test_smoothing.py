"""The conformance kit on smoothed labels; a value by hand; and a run that trains with it."""

import math
from pathlib import Path

import numpy as np
import pytest

from mlbench_core import Suite
from mlbench_core.testing.losses import LossConformance
from mlbench_smoothing.plugin import register_losses


class TestSmoothed(LossConformance):
    descriptor = register_losses()[0]
    frameworks = ("numpy", "pytorch", "tensorflow", "jax")

    def test_a_value_by_hand(self) -> None:
        """Probabilities 3/4 and 1/4, label 0: the target of it is 7/8 + 1/16."""
        value, gradient = self.value(np.array([[math.log(3), 0.0]]), np.array([0], np.int32))
        assert value == pytest.approx(-15 / 16 * math.log(3 / 4) - 1 / 16 * math.log(1 / 4), rel=1e-12)
        np.testing.assert_allclose(gradient, [[3 / 4 - 15 / 16, 1 / 4 - 1 / 16]], rtol=1e-12)


def test_a_run_trains_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    quick = {"min_seconds": 0.05, "max_seconds": 0.1, "latency_steps": 10, "queries": 10}
    suite = Suite(
        frameworks=["pytorch", "tensorflow", "jax"],
        models=["mlp"],
        loss={"mlp": "smoothed"},
        num_epochs=2,
        measure=quick,
    )
    results = suite.run()
    assert {record.trial.loss for record in results.records} == {"smoothed"}
    assert {record.status for record in results.records} == {"ok"}
    assert {one.verdict for one in results.parity} == {"verified"}
    losses = [record.measured.epochs[-1].loss for record in results.records if record.measured.epochs]
    assert len(losses) == 3
    assert max(losses) - min(losses) < 1e-3 * max(losses), "the same loss from the same weights on the same batches"
    likely, unlikely = 7 / 8 + 1 / 80, 1 / 80
    entropy = -likely * math.log(likely) - 9 * unlikely * math.log(unlikely)
    assert min(losses) > entropy, "no model has a smaller loss than the smoothed labels' own entropy"
