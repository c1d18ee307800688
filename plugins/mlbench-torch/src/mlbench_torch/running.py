"""Turns PyTorch's running variance, which is unbiased, into the tree's, which is biased, whenever somebody looks.

In training both normalise with the batch's biased variance b. But where the tree keeps running = m * running + (1 - m) * b,
PyTorch adds b * n / (n - 1), n being the number of values per channel (batch x height x width). Correcting that at every
step would slow the step, and there is no need: after k steps of one n from a common start r0,

    PyTorch's running = m**k * r0 + U        the tree's running = m**k * r0 + U * (n - 1) / n

so U = PyTorch's running - m**k * r0, and the tree's follows exactly. nn.BatchNorm counts k itself (num_batches_tracked).
`settle` writes the tree's value into the module and counts anew from there. It runs before the first inference after
training, before weights are read or saved, and when the batch size changes: never between two equal training steps.
"""

from __future__ import annotations

import math

import torch
from attrs import define
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from mlbench_core.architecture import BatchNorm
from mlbench_core.architecture.layer import join
from mlbench_torch.lowering import Model


@define(kw_only=True)
class RunningVariance:
    """One layer's running variance. value: the module's own buffer. count: k above, a tensor, so that nothing waits for it.

    momentum: the tree's, m above. positions: values per channel and sample. start: r0 above, (channels,).
    """

    value: Tensor
    count: Tensor
    momentum: float
    positions: int
    start: Tensor

    @torch.no_grad()
    def settle(self, samples: int) -> None:
        """Makes `value` the tree's after steps of `samples` samples each; after none, it keeps every bit."""
        n = samples * self.positions
        old = self.momentum ** self.count.double() * self.start.double()
        self.value.copy_(old + (self.value.double() - old) * ((n - 1) / n))
        self.begin()

    def begin(self) -> None:
        """Counts from here, where `value` is the tree's."""
        self.count.zero_()
        self.start = self.value.clone()


def running_variances(model: Model) -> list[RunningVariance]:
    """One per BatchNorm of the tree that is PyTorch's own in the module; for a model whose weights were just written."""
    norms = {id(m.running_var): m for m in model.module.modules() if isinstance(m, _BatchNorm)}
    found = []
    for path, layer, shape in model.architecture.walk():
        if isinstance(layer, BatchNorm):
            value = model.bindings[join(path, "var")].native
            count = norms[id(value)].num_batches_tracked if id(value) in norms else None
            if count is not None:
                found.append(
                    RunningVariance(
                        value=value,
                        count=count,
                        momentum=layer.momentum,
                        positions=math.prod(shape[:-1]),
                        start=value.clone(),
                    )
                )
    return found
