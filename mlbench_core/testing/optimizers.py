"""The kit for optimisers: subclass `OptimizerConformance`, name your descriptor, and the tests say what is wrong with the rule.

In your package's tests::

    from my_package.plugin import register_optimizers
    from mlbench_core.testing.optimizers import OptimizerConformance

    class TestLion(OptimizerConformance):
        descriptor = register_optimizers()[0]
        frameworks = ("numpy", "pytorch")
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from attrs import evolve

from mlbench_core.architecture import Architecture, UpdateRule, initial_weights
from mlbench_core.installed import REFERENCE
from mlbench_core.plugins import Framework, build_architecture, build_rule
from mlbench_core.reference import plugin as reference
from mlbench_core.testing.models import verified
from mlbench_core.testing.parent import DescriptorConformance
from mlbench_core.trial import ModelSource, Plan
from mlbench_core.verify.samples import learnable_batch
from mlbench_core.verify.twin import twin

BATCH, STEPS = 16, 50
"""Of training on one batch, where any rule that goes down at all has gone down."""


class OptimizerConformance(DescriptorConformance):
    """model: the import string of the factory of the model that it is tried on, for samples of `shape`. frameworks: the names
    of those, installed here, in which training with it is to be verified against the reference."""

    model: ClassVar[str] = "mlbench_core.models.mlp:mlp"
    shape: ClassVar[tuple[int, ...]] = (16,)
    frameworks: ClassVar[tuple[str, ...]] = (REFERENCE,)

    @classmethod
    def functions(cls) -> list[str]:
        return [cls.descriptor.source.rule]

    @classmethod
    def source(cls) -> ModelSource:
        """The model, trained with this optimiser."""
        return ModelSource(cls.model, optimizer=cls.descriptor.source)

    @classmethod
    def architecture(cls) -> Architecture:
        """The same."""
        return build_architecture(cls.source(), cls.shape, 10)

    @classmethod
    def trained(cls, architecture: Architecture, steps: int) -> list[float]:
        """The losses of so many steps of the reference, in float64, on one batch."""
        framework = Framework(reference, "the reference", REFERENCE)
        plan = Plan(
            device="cpu", precision="fp64", execution="eager", batch_size=BATCH, optimizer=architecture.optimizer,
            loss=architecture.loss, threads=1, seed=0, task="train",
        )  # fmt: skip
        batch, weights = learnable_batch(architecture, BATCH, 0), initial_weights(architecture, 0)
        with twin(framework, cls.source(), architecture, weights, plan) as made:
            return [made.train(batch) for _ in range(steps)]

    def test_the_function_makes_a_rule_and_the_same_again(self) -> None:
        one, two = build_rule(self.descriptor.source), build_rule(self.descriptor.source)
        assert isinstance(one, UpdateRule)
        assert one == two, "the function makes another rule at each call: take chance and time out of it"
        assert one.name == self.descriptor.name, (
            f"its rule is called {one.name!r}, and its descriptor {self.descriptor.name!r}"
        )

    def test_it_learns(self) -> None:
        losses = self.trained(self.architecture(), STEPS)
        assert np.all(np.isfinite(losses)), f"in {STEPS} steps the loss became {losses[-1]}"
        assert losses[-1] < losses[0], f"in {STEPS} steps on one batch the loss went from {losses[0]} to {losses[-1]}"

    def test_its_learning_rate_counts(self) -> None:
        """The ladder takes another one, that float32 cannot hold: a rule that ignores its own would pass unseen."""
        architecture = self.architecture()
        rule = architecture.optimizer
        halved = evolve(architecture, optimizer=evolve(rule, learning_rate=rule.learning_rate / 2))
        assert self.trained(architecture, 3)[-1] != self.trained(halved, 3)[-1], (
            "half the learning rate makes no difference: the NumPy implementation ignores it"
        )

    def test_parity(self) -> None:
        """The ladder of `mlbench verify`, in a worker for each framework."""
        architecture = self.architecture()
        wrong = [
            f"{name}: {why}"
            for name in self.frameworks
            if (why := verified(name, self.descriptor.name, self.source(), architecture))
        ]
        assert not wrong, "; ".join(wrong)
