"""Lion in JAX: optax has it."""

import optax

from mlbench_core.architecture import Architecture
from mlbench_jax.optimizer import decaying, make_optimizer
from mlbench_lion.rule import Lion


@make_optimizer.register
def _(rule: Lion, architecture: Architecture) -> optax.GradientTransformation:
    return optax.lion(
        rule.learning_rate, rule.beta1, rule.beta2, weight_decay=rule.weight_decay, mask=decaying(rule, architecture)
    )
