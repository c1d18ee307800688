"""A rule as a transformation of optax's, over dicts of parameters by path.

A third party's rule needs a `GradientTransformation`, and a registration, in a module that the optimiser's descriptor names
under `lowerings={"jax": ...}`::

    @make_optimizer.register
    def _(rule: Lion, architecture: Architecture) -> optax.GradientTransformation:
        return optax.lion(rule.learning_rate, rule.beta1, rule.beta2, mask=decaying(rule, architecture))
"""

from __future__ import annotations

from functools import singledispatch

import optax

from mlbench_core.architecture import Architecture, Optimizer, UpdateRule
from mlbench_core.errors import UnsupportedError


def decaying(rule: UpdateRule, architecture: Architecture) -> dict[str, bool]:
    """Whether each trained parameter decays, by its path: what optax calls a mask."""
    return {parameter.name: rule.decays(parameter) for parameter in architecture.parameters() if parameter.trainable}


@singledispatch
def make_optimizer(rule: UpdateRule, architecture: Architecture) -> optax.GradientTransformation:
    """What applies `rule`. Raises UnsupportedError for a rule without a registration."""
    raise UnsupportedError(
        f"jax has no optimiser {type(rule).__name__}: register one with "
        f"@mlbench_jax.optimizer.make_optimizer.register and name its module in OptimizerSource.lowerings['jax']"
    )


@make_optimizer.register
def _(rule: Optimizer, architecture: Architecture) -> optax.GradientTransformation:
    if rule.name == "sgd":
        return optax.sgd(rule.learning_rate, momentum=rule.momentum or None)
    decays = decaying(rule, architecture)
    return optax.adamw(
        rule.learning_rate, rule.beta1, rule.beta2, rule.epsilon, weight_decay=rule.weight_decay, mask=decays
    )
