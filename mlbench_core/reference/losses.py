"""From a loss to what computes it in NumPy, by which every framework's own is judged.

A loss of your own needs a function that returns its value and its gradient by the logits, and a registration, in a module that
your loss's descriptor names under `lowerings={"numpy": "your_package.on_numpy"}`::

    from mlbench_core.reference.losses import Function, make_loss

    @make_loss.register
    def _(loss: Squared) -> Function:
        def squared(logits, labels):
            difference = logits - np.eye(logits.shape[1])[labels]
            return np.square(difference).sum(1).mean(), 2 * difference / len(labels)

        return squared
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from typing import Any

import numpy as np
import numpy.typing as npt

from mlbench_core.architecture import CrossEntropy, Loss
from mlbench_core.errors import UnsupportedError
from mlbench_core.reference.module import Array

Function = Callable[[Array, npt.NDArray[np.int32]], tuple[Any, Array]]
"""Takes logits (batch, classes) and labels (batch,); returns the mean over the batch, (), and its gradient by the logits, of
their type."""


@singledispatch
def make_loss(loss: Loss) -> Function:
    """What computes `loss`. Raises UnsupportedError for a loss without a registration."""
    raise UnsupportedError(
        f"numpy has no loss {type(loss).__name__}: register one with "
        f"@mlbench_core.reference.losses.make_loss.register and name its module in LossSource.lowerings['numpy']"
    )


@make_loss.register
def _(loss: CrossEntropy) -> Function:
    return cross_entropy


def cross_entropy(logits: Array, labels: npt.NDArray[np.int32]) -> tuple[Any, Array]:
    """The mean softmax cross-entropy over the batch, and its gradient (softmax - onehot) / batch by the logits."""
    rows = np.arange(len(labels))
    shifted = logits - logits.max(1, keepdims=True)  # the largest exponential is 1: no overflow
    exponentials = np.exp(shifted)
    total = exponentials.sum(1, keepdims=True)
    loss = (np.log(total[:, 0]) - shifted[rows, labels]).mean()
    dlogits = exponentials / total
    dlogits[rows, labels] -= 1
    return loss, dlogits / len(labels)
