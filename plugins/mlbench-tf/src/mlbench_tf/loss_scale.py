"""The scale of a float16 loss, which follows the gradients: doubled after many finite steps, halved when they overflow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from mlbench_core.trial import Plan

SCALED = ("fp16",)
"""Precisions whose small gradients would be lost: float16's smallest number is 6e-8."""
INITIAL, GROWTH_STEPS = 2.0**15, 2000
"""As `keras.mixed_precision.LossScaleOptimizer` begins, and after how many finite steps it doubles the scale."""


class LossScale:
    """Multiplies the loss, divides the gradients, and adapts itself.

    Keras's own wrapper is not used, because it takes a Keras optimiser and branches on the gradients, for which the host waits
    in eager mode. Here a step that overflowed is run to its end with gradients of 0 and leaves everything as it was (see
    optimizer.py). A scale is a power of two, so multiplying and dividing by it rounds nothing.
    """

    def __init__(self) -> None:
        self.value = tf.Variable(INITIAL, trainable=False, dtype=tf.float32)
        self.finite_steps = tf.Variable(0, trainable=False, dtype=tf.int64)

    def multiply(self, loss: Any) -> Any:
        """The loss to take gradients of."""
        return loss * tf.cast(self.value, loss.dtype)

    def divide(self, gradients: Sequence[Any]) -> tuple[list[Any], Any]:
        """Dense gradients of the loss itself, and whether all were finite (a bool tensor); all are 0 where one was not."""
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients])
        # A product with 0 that is 0 whatever the other factor: infinite gradients become 0 on the way.
        inverse = tf.where(finite, 1 / self.value, 0.0)
        return [tf.math.multiply_no_nan(g, tf.cast(inverse, g.dtype)) for g in gradients], finite

    def adapt(self, finite: Any) -> None:
        """What follows from a step's gradients for the next step. A scale that would not be finite is kept."""
        value, steps = tf.convert_to_tensor(self.value), self.finite_steps + 1
        grows = tf.equal(steps, GROWTH_STEPS)
        wanted = value * tf.where(finite, tf.where(grows, 2.0, 1.0), 0.5)
        self.value.assign(tf.where(tf.math.is_finite(wanted), wanted, value))
        self.finite_steps.assign(tf.where(tf.logical_and(finite, tf.logical_not(grows)), steps, tf.zeros_like(steps)))

    def reset(self) -> None:
        """As before the first step, in place."""
        self.value.assign(INITIAL)
        self.finite_steps.assign(0)


def make_loss_scale(plan: Plan) -> LossScale | None:
    """A new one, or None where losses are not scaled."""
    return LossScale() if plan.precision in SCALED and plan.task == "train" else None
