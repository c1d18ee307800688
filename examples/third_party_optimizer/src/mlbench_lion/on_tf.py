"""Lion in TensorFlow. Keras has one, which keeps its learning rate in float32 whatever the model's type."""

from typing import Any

import tensorflow as tf

from mlbench_core.architecture import Parameter
from mlbench_lion.rule import Lion
from mlbench_tf.optimizer import Slots, Trained, Updater, make_optimizer


class KerasLion(Slots):
    """One array per parameter, the moment."""

    slots = 1

    def updated(self, parameter: Parameter, value: Any, gradient: Any, state: list[Any]) -> tuple[Any, list[Any]]:
        """By the rule's own words."""
        rule, m = self.rule, state[0]
        direction = tf.sign(rule.beta1 * m + (1 - rule.beta1) * gradient)
        decay = rule.weight_decay if rule.decays(parameter) else 0.0
        moved = value - rule.learning_rate * (direction + decay * value)
        return moved, [rule.beta2 * m + (1 - rule.beta2) * gradient]


@make_optimizer.register
def _(rule: Lion, trained: Trained, dtype: str) -> Updater:
    return KerasLion(rule, trained, dtype)
