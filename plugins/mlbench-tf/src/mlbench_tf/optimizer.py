"""The update rules, on TensorFlow's own fused update kernels: one kernel per parameter.

Keras's optimisers are not used, because they compute something else than `architecture.Optimizer` documents: they hold
the learning rate in float32 (a float64 model then trains with another rate), Adam adds epsilon to a square root that is
not bias-corrected yet, and which parameters decay is matched by name. The kernels take every number in the variables' type.

A step may be skipped, as loss_scale.py asks: its gradients are then 0, and the other numbers such that nothing changes. That
takes no branch, for which the host would wait.

A third party's rule is a subclass of `Slots`, or any `Updater`, and a registration, in a module that the optimiser's descriptor
names under `lowerings={"tensorflow": ...}`::

    @make_optimizer.register
    def _(rule: Lion, trained: Trained, dtype: str) -> Updater:
        return KerasLion(rule, trained, dtype)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import singledispatch
from typing import Any, Protocol

import tensorflow as tf

from mlbench_core.architecture import Optimizer, Parameter, UpdateRule
from mlbench_core.errors import UnsupportedError

Trained = Sequence[tuple[Parameter, Any]]
"""The trainable parameters of a model: the table's entry and the variable of each."""


class Updater(Protocol):
    """Changes the variables it was made for."""

    def update(self, gradients: Sequence[Any], finite: Any | None = None) -> None:
        """One step; a dense gradient per variable. finite: a bool tensor; False skips the step."""

    def reset(self) -> None:
        """As before the first step, in place."""


def _zeros(variable: Any) -> Any:
    return tf.Variable(tf.zeros_like(variable), trainable=False)


def _unless_skipped(finite: Any | None, value: Any, otherwise: Any) -> Any:
    """The value, or in a step that is skipped the other one. finite: a bool tensor; None where no step ever is."""
    return value if finite is None else tf.where(finite, value, otherwise)


class SGD:
    """buffer = momentum * buffer + gradient; p -= learning_rate * buffer."""

    def __init__(self, rule: Optimizer, trained: Trained, dtype: str) -> None:
        self.rule, self.dtype = rule, dtype
        self.slots = [(variable, _zeros(variable)) for _, variable in trained]

    def update(self, gradients: Sequence[Any], finite: Any | None = None) -> None:
        """One step; a dense gradient per variable. finite: False skips it, given gradients of 0."""
        rate, momentum = (tf.constant(value, self.dtype) for value in (self.rule.learning_rate, self.rule.momentum))
        rate, momentum = _unless_skipped(finite, rate, 0.0), _unless_skipped(finite, momentum, 1.0)
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

    def __init__(self, rule: Optimizer, trained: Trained, dtype: str) -> None:
        self.rule, self.dtype = rule, dtype
        self.slots = [(variable, _zeros(variable), _zeros(variable), rule.decays(p)) for p, variable in trained]
        # beta1**t and beta2**t in float64 whatever the model's type: 1 - 0.999 in float32 is off by 1e-5.
        self.powers = tf.Variable([1.0, 1.0], trainable=False, dtype=tf.float64)

    def update(self, gradients: Sequence[Any], finite: Any | None = None) -> None:
        """One step; a dense gradient per variable. finite: False skips it, given gradients of 0."""
        rule = self.rule
        powers = self.powers * tf.constant([rule.beta1, rule.beta2], tf.float64)
        self.powers.assign(_unless_skipped(finite, powers, self.powers))
        correction = tf.sqrt(1 - powers[1])
        zero, beta1, beta2 = (tf.constant(value, self.dtype) for value in (0.0, rule.beta1, rule.beta2))
        beta1, beta2 = _unless_skipped(finite, beta1, 1.0), _unless_skipped(finite, beta2, 1.0)
        rate = tf.cast(rule.learning_rate * correction / (1 - powers[0]), self.dtype)
        rate = _unless_skipped(finite, rate, 0.0)
        epsilon = tf.cast(rule.epsilon * correction, self.dtype)
        decay = tf.constant(rule.learning_rate * rule.weight_decay, self.dtype)
        decay = _unless_skipped(finite, decay, 0.0)
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


RULES: dict[str, Callable[[Optimizer, Trained, str], Updater]] = {"sgd": SGD, "adamw": AdamW}


class Slots:
    """A rule in plain operations: subclass it with what one parameter becomes. It keeps the state, and skips steps.

    slots: how many arrays of the parameter's shape the rule keeps for each, all 0 at first.
    """

    slots = 1

    def __init__(self, rule: Any, trained: Trained, dtype: str) -> None:
        self.rule = rule
        self.held = [(p, variable, [_zeros(variable) for _ in range(self.slots)]) for p, variable in trained]

    def updated(self, parameter: Parameter, value: Any, gradient: Any, state: list[Any]) -> tuple[Any, list[Any]]:
        """What the parameter's value and its state become, all tensors."""
        raise NotImplementedError

    def update(self, gradients: Sequence[Any], finite: Any | None = None) -> None:
        """One step; a dense gradient per variable. finite: False skips it."""
        for (parameter, variable, state), gradient in zip(self.held, gradients, strict=True):
            before = [tf.convert_to_tensor(each) for each in state]
            value, after = self.updated(parameter, tf.convert_to_tensor(variable), gradient, before)
            for kept, new in zip([variable, *state], [value, *after], strict=True):
                kept.assign(_unless_skipped(finite, new, kept))

    def reset(self) -> None:
        """As before the first step, in place."""
        for _, _, state in self.held:
            for slot in state:
                slot.assign(tf.zeros_like(slot))


@singledispatch
def make_optimizer(rule: UpdateRule, trained: Trained, dtype: str) -> Updater:
    """What applies `rule` to the variables of type `dtype`, new. Raises UnsupportedError for a rule without a registration."""
    raise UnsupportedError(
        f"tensorflow has no optimiser {type(rule).__name__}: register one with "
        f"@mlbench_tf.optimizer.make_optimizer.register and name its module in OptimizerSource.lowerings['tensorflow']"
    )


@make_optimizer.register
def _(rule: Optimizer, trained: Trained, dtype: str) -> Updater:
    return RULES[rule.name](rule, trained, dtype)
