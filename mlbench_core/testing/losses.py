"""The kit for losses: subclass `LossConformance`, name your descriptor, and the tests say what is wrong with the loss.

In your package's tests::

    from my_package.plugin import register_losses
    from mlbench_core.testing.losses import LossConformance

    class TestSmoothed(LossConformance):
        descriptor = register_losses()[0]
        frameworks = ("numpy", "pytorch")
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mlbench_core.architecture import Loss
from mlbench_core.installed import REFERENCE
from mlbench_core.plugins import build_loss, register_lowerings
from mlbench_core.reference.losses import make_loss
from mlbench_core.testing.trained import BATCH, CLASSES, STEPS, TrainedWith
from mlbench_core.trial import ModelSource
from mlbench_core.verify.samples import learnable_batch

STEP, SLOPE = 1e-5, 1e-6
"""A central difference over STEP is off by rounding, 1e-16 / STEP, and by the third derivative times STEP squared; a wrong
factor or a forgotten term is off by its whole size."""
MEAN = 1e-12
"""Of two sums of the same 32 float64 numbers."""


class LossConformance(TrainedWith):
    """model: the import string of the factory of the model that it is tried on, for samples of `shape`. frameworks: the names
    of those, installed here, in which training with it is to be verified against the reference."""

    @classmethod
    def functions(cls) -> list[str]:
        return [cls.descriptor.source.loss]

    @classmethod
    def source(cls) -> ModelSource:
        """The model, trained with this loss."""
        return ModelSource(cls.model, loss=cls.descriptor.source)

    @classmethod
    def built(cls) -> Loss:
        """What the descriptor's function makes, anew."""
        return build_loss(cls.descriptor.source)

    @classmethod
    def value(cls, logits: npt.NDArray[Any], labels: npt.NDArray[np.int32]) -> tuple[float, npt.NDArray[Any]]:
        """The reference's loss of these logits, and its gradient by them."""
        register_lowerings(cls.source(), REFERENCE)
        loss, gradient = make_loss(cls.built())(logits.copy(), labels)
        return float(loss), gradient

    @staticmethod
    def logits(seed: int = 0) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
        """Random ones, in float64, and labels."""
        random = np.random.default_rng(seed)
        return 2 * random.standard_normal((BATCH, CLASSES)), random.integers(0, CLASSES, BATCH).astype(np.int32)

    def test_its_gradient_is_its_slope(self) -> None:
        """In NumPy, logit by logit: the frameworks differentiate by themselves, and are compared with this."""
        logits, labels = self.logits()
        _, gradient = self.value(logits, labels)
        assert gradient.shape == logits.shape, f"the gradient has shape {gradient.shape}, and the logits {logits.shape}"
        slopes = np.zeros_like(logits)
        for index in np.ndindex(logits.shape):
            shift = np.zeros_like(logits)
            shift[index] = STEP
            slopes[index] = (self.value(logits + shift, labels)[0] - self.value(logits - shift, labels)[0]) / (2 * STEP)
        error = float(np.abs(gradient - slopes).max() / np.abs(slopes).max())
        assert error < SLOPE, f"the gradient in NumPy is off by {error:.1e} of its largest slope"

    def test_it_is_a_mean_over_the_batch(self) -> None:
        """Then devices can share a batch, and a larger one needs no other learning rate."""
        one, two = self.logits(0), self.logits(1)
        both = self.value(np.concatenate([one[0], two[0]]), np.concatenate([one[1], two[1]]))[0]
        mean = (self.value(*one)[0] + self.value(*two)[0]) / 2
        assert abs(both - mean) <= MEAN * abs(mean), (
            f"two batches have {mean:.6g} on average, and {both:.6g} as one: it must be the mean over the samples"
        )

    def test_large_logits_are_no_trouble(self) -> None:
        logits, labels = self.logits()
        loss, gradient = self.value(1e4 * logits, labels)
        assert np.isfinite(loss), f"logits of 1e4 have the loss {loss}: take the largest off before exponentials"
        assert np.all(np.isfinite(gradient)), "logits of 1e4 have gradients that are not finite"

    def test_it_learns(self) -> None:
        """That a smaller loss is a better model: more samples are told right after training on them."""
        architecture = self.architecture()
        batch = learnable_batch(architecture, BATCH, 0)
        with self.session(architecture) as made:
            before = float(np.mean(made.infer(batch).argmax(1) == batch.y))
            losses = [made.train(batch) for _ in range(STEPS)]
            after = float(np.mean(made.infer(batch).argmax(1) == batch.y))
        assert np.all(np.isfinite(losses)), f"in {STEPS} steps the loss became {losses[-1]}"
        assert losses[-1] < losses[0], f"in {STEPS} steps on one batch the loss went from {losses[0]} to {losses[-1]}"
        assert after > before, f"in {STEPS} steps on one batch the share of right answers went from {before} to {after}"
