"""The kit for models: subclass `ModelConformance`, name your descriptor, and the tests say what is wrong with the model.

In your package's tests::

    from my_package.plugin import register_models
    from mlbench_core.testing.models import ModelConformance

    class TestTiny(ModelConformance):
        descriptor = register_models()[0]
        frameworks = ("numpy", "pytorch")
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mlbench_core.architecture import Architecture, Shape, Weights, initial_weights
from mlbench_core.errors import MlbenchError
from mlbench_core.executor import Request, Setting
from mlbench_core.executors import local
from mlbench_core.installed import REFERENCE
from mlbench_core.plugins import Framework, build_architecture
from mlbench_core.reference import plugin as reference
from mlbench_core.runner.turns import run_alone
from mlbench_core.runner.verification import shapes_of
from mlbench_core.serialize import from_json, to_json
from mlbench_core.testing.parent import DescriptorConformance
from mlbench_core.trial import Plan
from mlbench_core.verify.rungs import Candidate, ParityResult, VerifyJob
from mlbench_core.verify.samples import affordable, learnable_batch, scattered_weights
from mlbench_core.verify.twin import Twin, twin

CLASSES = (2, 10)
BATCH = 16
STEPS = 20
STEP = 1e-5
SLOPE = 1e-4
"""A central difference over STEP is off by rounding, 1e-16 / STEP, by the third derivative times STEP squared, and where a ReLU
turns within STEP by that one's share of the slope; a wrong factor or a forgotten term is off by its whole size."""


class ModelConformance(DescriptorConformance):
    """frameworks: the names of those, installed here, in which the model is to be verified against the reference."""

    frameworks: ClassVar[tuple[str, ...]] = (REFERENCE,)

    @classmethod
    def functions(cls) -> list[str]:
        return [cls.descriptor.source.factory]

    @classmethod
    def architecture(cls, shape: Shape | None = None, num_classes: int = CLASSES[-1]) -> Architecture:
        """The model for samples of a shape: by default the first that suits it, as in a verification."""
        if shape is not None:
            return build_architecture(cls.descriptor.source, shape, num_classes)
        reasons = []
        for tried in shapes_of(cls.descriptor):
            try:
                return build_architecture(cls.descriptor.source, tried, num_classes)
            except MlbenchError as error:
                reasons.append(str(error))
        raise AssertionError(f"the factory takes no shape of {shapes_of(cls.descriptor)}: {reasons[0]}")

    @classmethod
    @contextmanager
    def session(cls, architecture: Architecture, weights: Weights, precision: str = "fp64") -> Iterator[Twin]:
        """A session of the reference."""
        framework = Framework(reference, "the reference", REFERENCE)
        plan = Plan(
            device="cpu", precision=precision, execution="eager", batch_size=BATCH, optimizer=architecture.optimizer,
            loss=architecture.loss, threads=1, seed=0, task="train",
        )  # fmt: skip
        with twin(framework, cls.descriptor.source, architecture, weights, plan) as made:
            yield made

    def test_the_factory_makes_what_it_is_asked_for(self) -> None:
        shape = self.architecture().input_shape
        for classes in CLASSES:
            made = self.architecture(shape, classes)
            asked = f"the factory was asked for {shape} and {classes} classes"
            assert made.input_shape == shape, f"{asked}, and made a model for samples of {made.input_shape}"
            assert made.num_classes == classes, f"{asked}, and made one of {made.num_classes}"
        kind = "tokens" if self.descriptor.takes == "tokens" else "float"
        made = self.architecture()
        assert made.input_kind == kind, (
            f"takes {self.descriptor.takes!r} needs input_kind {kind!r}, not {made.input_kind!r}"
        )

    def test_the_factory_makes_the_same_again(self) -> None:
        one, two = self.architecture(), self.architecture()
        assert one.digest == two.digest, "the factory makes another model at each call: take chance and time out of it"

    def test_initial_weights_are_finite(self) -> None:
        for name, value in initial_weights(affordable(self.architecture()), 0).items():
            assert np.all(np.isfinite(value)), f"the initial values of {name} are not finite: see its Parameter's init"

    def test_logits_are_finite_and_depend_on_the_sample(self) -> None:
        architecture = affordable(self.architecture())
        with self.session(architecture, initial_weights(architecture, 0), "fp32") as made:
            logits = made.infer(learnable_batch(architecture, BATCH, 0))
        assert np.all(np.isfinite(logits)), "logits of the untrained model are not finite: scale its initial weights"
        assert np.ptp(logits, axis=0).max() > 0, (
            "every sample has the same logits: the output does not depend on the input"
        )

    def test_every_parameter_takes_part(self) -> None:
        architecture = affordable(self.architecture()).without_dropout()
        with self.session(architecture, scattered_weights(architecture)) as made:
            found = made.gradients(learnable_batch(architecture, BATCH, 0)).parameters
        idle = sorted(name for name, value in found.items() if not np.any(value))
        assert not idle, f"no gradient reaches {', '.join(idle)}: take it out, or let the output depend on it"

    def test_gradients_are_the_losss_slope(self) -> None:
        architecture = affordable(self.architecture()).without_dropout()
        weights: Weights = {name: value.astype(np.float64) for name, value in scattered_weights(architecture).items()}
        batch, random = learnable_batch(architecture, BATCH, 0), np.random.default_rng(0)
        with self.session(architecture, weights) as made:
            exact = made.gradients(batch).parameters
        # Along the gradient, with a random factor for each parameter: no parameter's part can hide in another's sign.
        along = {name: random.uniform(0.5, 1.5) * value for name, value in exact.items()}
        norm = math.sqrt(sum(float(np.sum(value**2)) for value in along.values()))

        def loss(step: float) -> float:
            moved = {name: value + step / norm * along.get(name, 0.0) for name, value in weights.items()}
            with self.session(architecture, moved) as made:
                found = made.gradients(batch).loss
            assert found is not None
            return found

        slope = (loss(STEP) - loss(-STEP)) / (2 * STEP)
        told = sum(float(np.sum(exact[name] * along[name])) for name in exact) / norm
        error = abs(slope - told) / abs(slope)
        assert error < SLOPE, (
            f"the reference's backward is off by {error:.1e}: it says {told:.6g}, and the loss's slope is {slope:.6g}"
        )

    def test_it_learns(self) -> None:
        architecture = affordable(self.architecture()).without_dropout()
        batch = learnable_batch(architecture, BATCH, 0)
        with self.session(architecture, initial_weights(architecture, 0)) as made:
            losses = [made.train(batch) for _ in range(STEPS)]
        assert losses[-1] < losses[0], (
            f"in {STEPS} steps on one batch the loss went from {losses[0]:.3g} to {losses[-1]:.3g}"
        )

    def test_parity(self) -> None:
        """The ladder of `mlbench verify`, in a worker for each framework."""
        architecture = self.architecture()
        wrong = [
            f"{name}: {why}"
            for name in self.frameworks
            if (why := verified(name, self.descriptor.name, self.descriptor.source, architecture))
        ]
        assert not wrong, "; ".join(wrong)


def verified(framework: str, model: str, source: Any, architecture: Architecture) -> str:
    """Why a model is not verified in a framework on the CPU; empty if it is."""
    candidate = Candidate(
        model=model, source=source, input_shape=architecture.input_shape, num_classes=architecture.num_classes
    )
    job = VerifyJob(framework=framework, device="cpu", candidates=(candidate,), runs=(), seed=0, threads=1)
    found: list[ParityResult] = []
    with tempfile.TemporaryDirectory() as scratch:
        setting = Setting(
            python=sys.executable,
            time_limit_s=600,
            log=Path(scratch) / "log",
            on_event=partial(_keep, found),
            folder=Path.cwd(),
        )
        request = Request(kind="verify", job=to_json(job), device="cpu", threads=1)
        outcome = run_alone(local.run(request, setting))
    if not found:
        return outcome.reason or "the worker said nothing"
    return "" if found[0].verdict == "verified" else f"{found[0].verdict}: {found[0].why}"


def _keep(found: list[ParityResult], event: dict[str, Any]) -> None:
    if event["event"] == "parity":
        found.append(from_json(event["parity"], ParityResult))
