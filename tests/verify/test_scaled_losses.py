"""A float16 loss is scaled, and a step whose gradients overflow is skipped: rung 7 compares the updates that were made."""

from typing import Any

import pytest
from attrs import evolve

from mlbench_core.plugins import Framework
from mlbench_core.reference import plugin, training
from mlbench_core.testing.mutations import MLP, RESNET, copy_of
from mlbench_core.trial import ModelSource
from mlbench_core.verify.ladder import parity_of
from mlbench_core.verify.rungs import Rung
from mlbench_core.verify.subject import Subject


def precision_rung(architecture: Any, skips: int) -> Rung:
    """Rung 7 of the reference under the name fp16, with an optimiser that skips its first updates."""
    left: dict[int, int] = {}

    def make_session(model: Any, weights: Any, plan: Any) -> Any:
        half = plan.precision == "fp16"
        session = training.make_session(model, weights, evolve(plan, precision="fp32") if half else plan)
        left[id(session)] = skips if half else 0
        return session

    def train_step(session: Any, batch: Any) -> Any:
        if left[id(session)] == 0:
            return training.train_step(session, batch)
        left[id(session)] -= 1
        return training.gradients(session, batch, None).loss

    def build_model(architecture: Any, plan: Any) -> Any:
        return training.build_model(architecture, evolve(plan, precision="fp32"))

    info = evolve(plugin.framework_info(), precisions=("fp32", "fp64", "fp16"))
    hooks = {"make_session": make_session, "train_step": train_step, "build_model": build_model}
    module = copy_of(plugin, framework_info=lambda: info, **hooks)
    subject = Subject(
        framework=Framework(module, "the copy", "copy"),
        info=info,
        device="cpu",
        threads=1,
        seed=0,
        source=ModelSource(""),
    )
    rungs = parity_of(subject, architecture.name, architecture, (("fp16", "default"),)).rungs
    assert [rung.number for rung in rungs if not rung.passed] in ([], [7])
    return rungs[-1]


@pytest.mark.parametrize("architecture", [MLP, RESNET], ids=["mlp", "resnet with running statistics"])
@pytest.mark.parametrize("skips", [0, 3, 16])
def test_updates_that_were_skipped_are_made_again(architecture: Any, skips: int) -> None:
    rung = precision_rung(architecture, skips)
    assert rung.name == "precision fp16"
    assert rung.error < 1e-3, "float32 against float64: one update less would show"


def test_a_loss_that_always_overflows_is_a_failure() -> None:
    rung = precision_rung(MLP, 10_000)
    assert not rung.passed
    assert "no weight has changed in 17 steps" in rung.describe()
