"""A loss as a function of PyTorch's.

A third party's loss needs such a function, and a registration, in a module that the loss's descriptor names under
`lowerings={"pytorch": ...}`::

    @make_loss.register
    def _(loss: Smoothed) -> Function:
        return partial(F.cross_entropy, label_smoothing=loss.smoothing)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from mlbench_core.architecture import CrossEntropy, Loss
from mlbench_core.errors import UnsupportedError

Function = Callable[[Tensor, Tensor], Tensor]
"""Takes logits (batch, classes) and labels (batch,), int64; returns the mean over the batch, ()."""


@singledispatch
def make_loss(loss: Loss) -> Function:
    """What computes `loss`, as it is called at each step. Raises UnsupportedError for a loss without a registration."""
    raise UnsupportedError(
        f"pytorch has no loss {type(loss).__name__}: register one with "
        f"@mlbench_torch.loss.make_loss.register and name its module in LossSource.lowerings['pytorch']"
    )


@make_loss.register
def _(loss: CrossEntropy) -> Function:
    return F.cross_entropy
