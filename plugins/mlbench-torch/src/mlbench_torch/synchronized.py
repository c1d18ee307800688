"""BatchNorm whose statistics are over the whole batch, where several processes have a share of it each.

On GPUs this is PyTorch's own SyncBatchNorm. That one refuses a CPU, so there the same arithmetic is written out: it serves
tests of parity, not speed.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mlbench_core.errors import UnsupportedError
from mlbench_torch.modules import BatchNormLastAxis


class _Sum(torch.autograd.Function):
    """The sum over all processes of a group, with that of the gradients on the way back."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, group: Any) -> Tensor:
        ctx.group = group
        total = value.clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        total = gradient.clone()
        dist.all_reduce(total, group=ctx.group)
        return total, None


def _sum(value: Tensor, group: Any) -> Tensor:
    total: Tensor = _Sum.apply(value, group)  # type: ignore[no-untyped-call]
    return total


class OnCpu(nn.BatchNorm2d):
    """Any of PyTorch's BatchNorm modules, synchronised on CPUs. x: (batch, channels, ...)."""

    process_group: Any = None

    def forward(self, x: Tensor) -> Tensor:
        size = dist.get_world_size(self.process_group)
        if not self.training or size == 1:
            return F.batch_norm(
                x,
                self.running_mean,
                self.running_var,
                self.weight,
                self.bias,
                self.training,
                self.momentum or 0.0,
                self.eps,
            )
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        n = size * x.numel() // x.shape[1]
        mean = _sum(x.sum(axes), self.process_group) / n
        centred = x - mean.view(shape)
        variance = _sum((centred * centred).sum(axes), self.process_group) / n
        self._keep(mean.detach(), variance.detach() * (n / (n - 1)))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        normalised: Tensor = centred * scale.view(shape) + self.bias.view(shape)
        return normalised

    def _keep(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum or 0.0)
        self.running_var.lerp_(variance, self.momentum or 0.0)


class OnCpuLastAxis(OnCpu):
    """The same over every axis but the last."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, ..., features) in and out."""
        return super().forward(x.flatten(0, -2)).view_as(x)


class LastAxis(nn.SyncBatchNorm):
    """SyncBatchNorm over every axis but the last."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, ..., features) in and out."""
        return super().forward(x.flatten(0, -2)).view_as(x)


def synchronize(module: nn.Module, device: torch.device) -> list[nn.Module]:
    """Makes every BatchNorm of the module a synchronised one, in place, and returns them.

    In place, by its class: a model's bindings, and modules that hold others in tuples, keep pointing at the same objects.
    Raises UnsupportedError for one of a third party's, whose arithmetic is not known here.
    """
    found = [each for each in module.modules() if isinstance(each, _BatchNorm)]
    on_gpu = device.type == "cuda"
    for each in found:
        if type(each) is BatchNormLastAxis:
            each.__class__ = LastAxis if on_gpu else OnCpuLastAxis  # type: ignore[assignment]
        elif type(each) in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
            each.__class__ = nn.SyncBatchNorm if on_gpu else OnCpu
        else:
            raise UnsupportedError(
                f"pytorch: {type(each).__name__} has no form that is synchronised over several devices"
            )
        each.process_group = None  # type: ignore[assignment]  # the whole group, until somebody says otherwise
    return list(found)
