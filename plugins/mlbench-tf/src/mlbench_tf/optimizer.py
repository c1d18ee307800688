"""The update rules, on TensorFlow's own fused update kernels: one kernel per parameter.

Keras's optimisers are not used, because they compute something else than `architecture.Optimizer` documents: they hold
the learning rate in float32 (a float64 model then trains with another rate), Adam adds epsilon to a square root that is
not bias-corrected yet, and which parameters decay is matched by name. The kernels take every number in the variables' type.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from mlbench_core.architecture import Optimizer, Parameter


def _zeros(variable: Any) -> Any:
    return tf.Variable(tf.zeros_like(variable), trainable=False)


class SGD:
    """buffer = momentum * buffer + gradient; p -= learning_rate * buffer."""

    def __init__(self, rule: Optimizer, trained: Sequence[tuple[Parameter, Any]], dtype: str) -> None:
        self.rule, self.dtype = rule, dtype
        self.slots = [(variable, _zeros(variable)) for _, variable in trained]

    def update(self, gradients: Sequence[Any]) -> None:
        """One step; a dense gradient per variable."""
        rate, momentum = (tf.constant(value, self.dtype) for value in (self.rule.learning_rate, self.rule.momentum))
        for (variable, buffer), gradient in zip(self.slots, gradients, strict=True):
            tf.raw_ops.ResourceApplyMomentum(
                var=variable.handle, accum=buffer.handle, lr=rate, grad=gradient, momentum=momentum
            )

    def reset(self) -> None:
        """As before the first step, in place."""
        for _, buffer in self.slots:
            buffer.assign(tf.zeros_like(buffer))


class AdamW:
    """p -= learning_rate * (m_hat / (sqrt(v_hat) + epsilon) + weight_decay * p), with m and v bias-corrected.

    The kernel computes m * lr / (sqrt(v) + epsilon) once its own correction is switched off by powers of 0. With
    c = sqrt(1 - beta2**t), that is the rule above for lr = learning_rate * c / (1 - beta1**t) and epsilon * c.
    """

    def __init__(self, rule: Optimizer, trained: Sequence[tuple[Parameter, Any]], dtype: str) -> None:
        self.rule, self.dtype = rule, dtype
        self.slots = [(variable, _zeros(variable), _zeros(variable), rule.decays(p)) for p, variable in trained]
        # beta1**t and beta2**t in float64 whatever the model's type: 1 - 0.999 in float32 is off by 1e-5.
        self.powers = tf.Variable([1.0, 1.0], trainable=False, dtype=tf.float64)

    def update(self, gradients: Sequence[Any]) -> None:
        """One step; a dense gradient per variable."""
        rule = self.rule
        powers = self.powers.assign(self.powers * tf.constant([rule.beta1, rule.beta2], tf.float64))
        correction = tf.sqrt(1 - powers[1])
        zero, beta1, beta2 = (tf.constant(value, self.dtype) for value in (0.0, rule.beta1, rule.beta2))
        rate = tf.cast(rule.learning_rate * correction / (1 - powers[0]), self.dtype)
        epsilon = tf.cast(rule.epsilon * correction, self.dtype)
        decay = tf.constant(rule.learning_rate * rule.weight_decay, self.dtype)
        for (variable, m, v, decays), gradient in zip(self.slots, gradients, strict=True):
            if decays:  # of the old value, so before the update
                variable.assign_sub(variable * decay)
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=zero,
                beta2_power=zero,
                lr=rate,
                beta1=beta1,
                beta2=beta2,
                epsilon=epsilon,
                grad=gradient,
            )

    def reset(self) -> None:
        """As before the first step, in place."""
        self.powers.assign(tf.ones_like(self.powers))
        for _, m, v, _ in self.slots:
            m.assign(tf.zeros_like(m))
            v.assign(tf.zeros_like(v))


RULES: dict[str, type[SGD] | type[AdamW]] = {"sgd": SGD, "adamw": AdamW}
