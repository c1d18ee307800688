"""A loss as a function of arrays, which is traced with the step.

A third party's loss needs such a function, and a registration, in a module that the loss's descriptor names under
`lowerings={"jax": ...}`::

    @make_loss.register
    def _(loss: Squared) -> Function:
        return lambda logits, labels: jnp.mean(jnp.sum((logits - jax.nn.one_hot(labels, logits.shape[1])) ** 2, 1))
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch

import jax
import jax.numpy as jnp
import optax

from mlbench_core.architecture import CrossEntropy, Loss
from mlbench_core.errors import UnsupportedError

Function = Callable[[jax.Array, jax.Array], jax.Array]
"""Takes logits (batch, classes) and labels (batch,), int32; returns the mean over the batch, ()."""


@singledispatch
def make_loss(loss: Loss) -> Function:
    """What computes `loss`. Raises UnsupportedError for a loss without a registration."""
    raise UnsupportedError(
        f"jax has no loss {type(loss).__name__}: register one with "
        f"@mlbench_jax.loss.make_loss.register and name its module in LossSource.lowerings['jax']"
    )


@make_loss.register
def _(loss: CrossEntropy) -> Function:
    return cross_entropy


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The mean over the batch."""
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))
