"""BatchNorm whose statistics are over the whole batch, where several processes have a share of it each.

On GPUs this is PyTorch's own SyncBatchNorm. That one refuses a CPU. There, and where the model is compiled, the same arithmetic
is written out around a sum over all processes that the compiler takes as it is, so that it is a part of the model's one graph.
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


@torch.library.custom_op("mlbench::sum_over_processes", mutates_args=(), schema="(Tensor value) -> Tensor")
def sum_over_processes(value: Tensor) -> Tensor:
    """The sum over all processes, the same in each."""
    total = value.clone()
    dist.all_reduce(total)
    return total


@sum_over_processes.register_fake
def _(value: Tensor) -> Tensor:
    return torch.empty_like(value)


class _Normalised(torch.autograd.Function):
    """BatchNorm's arithmetic once the statistics are known, with the way back written out: two sums over the batch, exchanged
    together. (Autograd's own way through the statistics took 59.4 ms of kernels in ResNet-50's step on two
    H100, this one 53.3: one profile each.)

    x: (batch, channels, ...). mean, inverse: of the whole batch, by channel; the inverse is that of the deviation. Formula:
    Ioffe and Szegedy 2015, arXiv:1502.03167, section 3.
    """

    @staticmethod
    def forward(context: Any, x: Tensor, mean: Tensor, inverse: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        context.save_for_backward(x, mean, inverse, weight)
        shape = _shape(x)
        scale = weight * inverse
        return ((_wide(x) - mean.view(shape)) * scale.view(shape) + bias.view(shape)).to(x.dtype)

    @staticmethod
    def backward(context: Any, *gradients: Any) -> Any:
        x, mean, inverse, weight = context.saved_tensors
        shape, axes = _shape(x), _axes(x)
        gradient, centred = _wide(gradients[0]), _wide(x) - mean.view(shape)
        total, product = gradient.sum(axes), (gradient * centred).sum(axes)
        totals, products = (sum_over_processes(torch.stack([total, product])) / _number(x)).unbind()
        slope = (products * inverse.square()).view(shape)
        by_x = (gradient - totals.view(shape) - centred * slope) * (weight * inverse).view(shape)
        return by_x.to(x.dtype), None, None, product * inverse, total


def _wide(value: Tensor) -> Tensor:
    """In float32, where it has 16 bits."""
    return value.float() if value.dtype.itemsize == 2 else value


def _axes(x: Tensor) -> list[int]:
    """All but the channels'."""
    return [axis for axis in range(x.dim()) if axis != 1]


def _number(x: Tensor) -> int:
    """How many values of a channel there are in all processes."""
    return dist.get_world_size() * x.numel() // x.shape[1]


def _shape(x: Tensor) -> list[int]:
    """Of a value per channel, beside x."""
    return [1, -1] + [1] * (x.dim() - 2)


class Written(nn.BatchNorm2d):
    """Any of PyTorch's BatchNorm modules, synchronised in plain operations. x: (batch, channels, ...), as many in every
    process; 16-bit values are averaged in float32.

    process_group: of this process alone, where it works for itself; else None.
    """

    process_group: Any = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.process_group is not None:
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
        with torch.no_grad():
            variance, mean = torch.var_mean(_wide(x), _axes(x), correction=0)
            mean, variance = _over_processes(mean, variance)
            n = _number(x)
            self._keep(mean, variance * (n / (n - 1)))
        inverse = torch.rsqrt(variance + self.eps)
        # PyTorch does not annotate `apply`.
        normalised: Tensor = _Normalised.apply(x, mean, inverse, self.weight, self.bias)  # type: ignore[no-untyped-call]
        return normalised

    def _keep(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum or 0.0)
        self.running_var.lerp_(variance, self.momentum or 0.0)


def _over_processes(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Those over the shares of all processes, from those over this one's. Every mean is looked at by itself, so that nothing
    cancels: the mean of the squares less the square of the mean would lose digits."""
    own, rank = torch.stack([mean, variance]), dist.get_rank()
    places = [own if other == rank else torch.zeros_like(own) for other in range(dist.get_world_size())]
    means, variances = sum_over_processes(torch.stack(places)).unbind(1)
    middle = means.mean(0)
    return middle, (variances + (means - middle).square()).mean(0)


class WrittenLastAxis(Written):
    """The same over every axis but the last."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, ..., features) in and out."""
        return super().forward(x.flatten(0, -2)).view_as(x)


class LastAxis(nn.SyncBatchNorm):
    """SyncBatchNorm over every axis but the last."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, ..., features) in and out."""
        return super().forward(x.flatten(0, -2)).view_as(x)


def synchronize(module: nn.Module, device: torch.device, execution: str) -> list[nn.Module]:
    """Makes every BatchNorm of the module a synchronised one, in place, and returns them.

    In place, by its class: a model's bindings, and modules that hold others in tuples, keep pointing at the same objects.
    Raises UnsupportedError for one of a third party's, whose arithmetic is not known here.
    """
    found = [each for each in module.modules() if isinstance(each, _BatchNorm)]
    written = device.type != "cuda" or execution == "compiled"
    for each in found:
        if type(each) is BatchNormLastAxis:
            each.__class__ = WrittenLastAxis if written else LastAxis  # type: ignore[assignment]
        elif type(each) in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
            each.__class__ = Written if written else nn.SyncBatchNorm
        else:
            raise UnsupportedError(
                f"pytorch: {type(each).__name__} has no form that is synchronised over several devices"
            )
        each.process_group = None  # type: ignore[assignment]  # the whole group, until somebody says otherwise
    return list(found)
