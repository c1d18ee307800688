"""Label smoothing in PyTorch: its cross-entropy takes it."""

from functools import partial

import torch.nn.functional as F  # noqa: N812

from mlbench_smoothing.loss import Smoothed
from mlbench_torch.loss import Function, make_loss


@make_loss.register
def _(loss: Smoothed) -> Function:
    return partial(F.cross_entropy, label_smoothing=loss.smoothing)
