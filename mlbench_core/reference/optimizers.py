"""From a rule to what applies it in NumPy, by which every framework's own is judged.

A rule of your own needs a class with a method `step`, and a registration, in a module that your optimiser's descriptor names
under `lowerings={"numpy": "your_package.on_numpy"}`::

    from mlbench_core.reference.optimizers import Trained, Updater, make_optimizer

    class Signs:
        def __init__(self, rule, trained):
            self.rule, self.variables = rule, [variable for _, variable in trained]

        def step(self):
            for variable in self.variables:
                variable.value -= self.rule.learning_rate * np.sign(variable.grad)

    @make_optimizer.register
    def _(rule: SignDescent, trained: Trained) -> Updater:
        return Signs(rule, trained)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import singledispatch
from typing import Protocol

import numpy as np

from mlbench_core.architecture import Optimizer, Parameter, UpdateRule
from mlbench_core.errors import UnsupportedError
from mlbench_core.reference.module import Variable

Trained = Sequence[tuple[Parameter, Variable]]
"""The trainable parameters of a model, with the table's entry of each."""


class Updater(Protocol):
    """Changes the variables it was made for, in place, by their gradients."""

    def step(self) -> None:
        """One update."""


class SGD:
    """buffer = momentum * buffer + gradient; p -= learning_rate * buffer."""

    def __init__(self, rule: Optimizer, trained: Trained) -> None:
        self.rule = rule
        self.slots = [(variable, np.zeros_like(variable.value)) for _, variable in trained]

    def step(self) -> None:
        """One update."""
        for variable, buffer in self.slots:
            buffer *= self.rule.momentum
            buffer += variable.grad
            variable.value -= self.rule.learning_rate * buffer


class AdamW:
    """p -= learning_rate * (m_hat / (sqrt(v_hat) + epsilon) + weight_decay * p), with m and v bias-corrected."""

    def __init__(self, rule: Optimizer, trained: Trained) -> None:
        self.rule, self.count = rule, 0
        self.slots = [
            (v, rule.weight_decay if rule.decays(p) else 0.0, np.zeros_like(v.value), np.zeros_like(v.value))
            for p, v in trained
        ]

    def step(self) -> None:
        """One update."""
        rule = self.rule
        self.count += 1
        correction1, correction2 = 1 - rule.beta1**self.count, 1 - rule.beta2**self.count
        for variable, decay, m, v in self.slots:
            m *= rule.beta1
            m += (1 - rule.beta1) * variable.grad
            v *= rule.beta2
            v += (1 - rule.beta2) * np.square(variable.grad)
            update = (m / correction1) / (np.sqrt(v / correction2) + rule.epsilon)
            variable.value -= rule.learning_rate * (update + decay * variable.value)


RULES: dict[str, Callable[[Optimizer, Trained], Updater]] = {"sgd": SGD, "adamw": AdamW}


@singledispatch
def make_optimizer(rule: UpdateRule, trained: Trained) -> Updater:
    """What applies `rule` to the variables, new. Raises UnsupportedError for a rule without a registration."""
    raise UnsupportedError(
        f"numpy has no optimiser {type(rule).__name__}: register one with "
        f"@mlbench_core.reference.optimizers.make_optimizer.register and name its module in OptimizerSource.lowerings['numpy']"
    )


@make_optimizer.register
def _(rule: Optimizer, trained: Trained) -> Updater:
    return RULES[rule.name](rule, trained)
