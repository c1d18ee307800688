"""Lion in NumPy, which the frameworks are compared with."""

import numpy as np

from mlbench_core.reference.optimizers import Trained, Updater, make_optimizer
from mlbench_lion.rule import Lion


class NumpyLion:
    """By the rule's own words."""

    def __init__(self, rule: Lion, trained: Trained) -> None:
        self.rule = rule
        self.slots = [(p, variable, np.zeros_like(variable.value)) for p, variable in trained]

    def step(self) -> None:
        """One update."""
        rule = self.rule
        for parameter, variable, m in self.slots:
            direction = np.sign(rule.beta1 * m + (1 - rule.beta1) * variable.grad)
            m *= rule.beta2
            m += (1 - rule.beta2) * variable.grad
            decay = rule.weight_decay if rule.decays(parameter) else 0.0
            variable.value -= rule.learning_rate * (direction + decay * variable.value)


@make_optimizer.register
def _(rule: Lion, trained: Trained) -> Updater:
    return NumpyLion(rule, trained)
