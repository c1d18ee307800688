"""A loss as a function of TensorFlow's operations, which is traced with the step.

A third party's loss needs such a function, and a registration, in a module that the loss's descriptor names under
`lowerings={"tensorflow": ...}`::

    @make_loss.register
    def _(loss: Squared) -> Function:
        def squared(logits, labels):
            onehot = tf.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
            return tf.reduce_mean(tf.reduce_sum(tf.square(logits - onehot), 1))

        return squared
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from typing import Any

import tensorflow as tf

from mlbench_core.architecture import CrossEntropy, Loss
from mlbench_core.errors import UnsupportedError

Function = Callable[[Any, Any], Any]
"""Takes logits (batch, classes), of the parameters' type, and labels (batch,), int64; returns the mean over the batch, ()."""


@singledispatch
def make_loss(loss: Loss) -> Function:
    """What computes `loss`. Raises UnsupportedError for a loss without a registration."""
    raise UnsupportedError(
        f"tensorflow has no loss {type(loss).__name__}: register one with "
        f"@mlbench_tf.loss.make_loss.register and name its module in LossSource.lowerings['tensorflow']"
    )


@make_loss.register
def _(loss: CrossEntropy) -> Function:
    return cross_entropy


def cross_entropy(logits: Any, labels: Any) -> Any:
    """The mean over the batch."""
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
