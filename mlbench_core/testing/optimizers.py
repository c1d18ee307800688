"""The kit for optimisers: subclass `OptimizerConformance`, name your descriptor, and the tests say what is wrong with the rule.

In your package's tests::

    from my_package.plugin import register_optimizers
    from mlbench_core.testing.optimizers import OptimizerConformance

    class TestLion(OptimizerConformance):
        descriptor = register_optimizers()[0]
        frameworks = ("numpy", "pytorch")
"""

from __future__ import annotations

import numpy as np
from attrs import evolve

from mlbench_core.architecture import Architecture, UpdateRule
from mlbench_core.plugins import build_rule
from mlbench_core.testing.trained import BATCH, STEPS, TrainedWith
from mlbench_core.trial import ModelSource
from mlbench_core.verify.samples import learnable_batch


class OptimizerConformance(TrainedWith):
    """model: the import string of the factory of the model that it is tried on, for samples of `shape`. frameworks: the names
    of those, installed here, in which training with it is to be verified against the reference."""

    @classmethod
    def functions(cls) -> list[str]:
        return [cls.descriptor.source.rule]

    @classmethod
    def source(cls) -> ModelSource:
        """The model, trained with this optimiser."""
        return ModelSource(cls.model, optimizer=cls.descriptor.source)

    @classmethod
    def built(cls) -> UpdateRule:
        """What the descriptor's function makes, anew."""
        return build_rule(cls.descriptor.source)

    @classmethod
    def trained(cls, architecture: Architecture, steps: int) -> list[float]:
        """The losses of so many steps of the reference, in float64, on one batch."""
        batch = learnable_batch(architecture, BATCH, 0)
        with cls.session(architecture) as made:
            return [made.train(batch) for _ in range(steps)]

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
