"""ShiftScale on PyTorch."""

import torch

from mlbench_core.architecture import Site
from mlbench_shift.model import ShiftScale
from mlbench_torch.lowering import lower


class ShiftScaleModule(torch.nn.Module):
    def __init__(self, steps: int, features: int) -> None:
        super().__init__()
        self.steps = steps
        self.gain = torch.nn.Parameter(torch.ones(features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.roll(x, self.steps, -1) * self.gain


@lower.register
def _(layer: ShiftScale, site: Site[torch.Tensor]) -> torch.nn.Module:
    module = ShiftScaleModule(layer.steps, site.shape[-1])
    site.bind("gain", module.gain)
    return module
