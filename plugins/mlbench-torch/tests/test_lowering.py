"""Layers that the vocabulary lacks, and errors that name what is wrong."""

from __future__ import annotations

from torch import nn

import mlbench_torch.plugin
from mlbench_core.testing.extension import Extension, Mix
from mlbench_torch import lowering


class TestExtension(Extension):
    plugin = mlbench_torch.plugin
    lowering = lowering
    imports = frozenset({"torch"})

    @staticmethod
    def mix(layer: Mix, site: lowering.At) -> nn.Module:
        linear = nn.Linear(site.shape[-1], site.shape[-1], bias=False)  # PyTorch's layout is (out, in), as this layer's
        site.bind("kernel", linear.weight)
        return linear
