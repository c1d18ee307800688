"""PReLU in PyTorch, whose own has the features on the second axis: right for images, which are (batch, channels, height, width)
there, and wrong for sequences."""

import torch
from torch import Tensor, nn

from mlbench_prelu.layer import PReLU
from mlbench_torch.lowering import At, is_image, lower


class LastAxis(nn.Module):
    """For shapes (batch, ..., features)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(features))

    def forward(self, x: Tensor) -> Tensor:
        """In and out of the same shape."""
        return torch.where(x > 0, x, self.weight * x)


@lower.register
def _(layer: PReLU, site: At) -> nn.Module:
    features = site.shape[-1]
    native = nn.PReLU(features) if is_image(site.shape) else LastAxis(features)
    site.bind("slope", native.weight)
    return native
