"""The ConvNeXt by hand in PyTorch: mlbench verifies it against the architecture and times it in place of the lowered one."""

import torch
from torch import Tensor, nn

from mlbench_core.architecture import Architecture, Binding
from mlbench_core.trial import Plan
from mlbench_torch.lowering import OIHW, TRANSPOSED, Model


class Block(nn.Module):
    """x + scale * mlp(norm(depthwise(x))). Images (batch, channels, height, width)."""

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(size, size, 7, padding=3, groups=size)
        self.norm = nn.LayerNorm(size, 1e-6)
        self.up, self.down = nn.Linear(size, hidden), nn.Linear(hidden, size)
        self.scale = nn.Parameter(torch.empty(size))

    def forward(self, x: Tensor) -> Tensor:
        """In and out of the same shape; the channels come last once, for all that works on them."""
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.scale * self.down(nn.functional.gelu(self.up(y)))
        added: Tensor = x + y.permute(0, 3, 1, 2)
        return added


class ConvNeXt(nn.Module):
    """Images (batch, channels, height, width) to logits (batch, classes)."""

    def __init__(self, channels: int, size: int, hidden: int, depth: int, classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, size, 4, 4)
        self.norm, self.last = nn.LayerNorm(size, 1e-6), nn.LayerNorm(size, 1e-6)
        self.blocks = nn.Sequential(*(Block(size, hidden) for _ in range(depth)))
        self.head = nn.Linear(size, classes)

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        x = self.norm(self.stem(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        logits: Tensor = self.head(self.last(self.blocks(x).mean((2, 3))))
        return logits


def build(architecture: Architecture, plan: Plan) -> Model:
    """The module, and which of its tensors holds which parameter of the tree."""
    sizes = {parameter.name: parameter.shape for parameter in architecture.parameters()}
    _, _, channels, size = sizes["stem.kernel"]
    depth = sum(name.endswith("depthwise.kernel") for name in sizes)
    hidden = sizes["block0.body.mlp.up.kernel"][1]
    module = ConvNeXt(channels, size, hidden, depth, architecture.num_classes)
    bindings: dict[str, Binding[Tensor]] = {}

    def bind(path: str, native: nn.Conv2d | nn.Linear | nn.LayerNorm) -> None:
        axes = {nn.Conv2d: OIHW, nn.Linear: TRANSPOSED}.get(type(native))
        assert native.bias is not None
        kernel = "scale" if isinstance(native, nn.LayerNorm) else "kernel"
        bindings[f"{path}.{kernel}"] = Binding(native.weight, axes)
        bindings[f"{path}.bias"] = Binding(native.bias)

    bind("stem", module.stem)
    bind("norm", module.norm)
    for place, block in enumerate(module.blocks):
        assert isinstance(block, Block)
        body = f"block{place}.body"
        bind(f"{body}.depthwise", block.depthwise)
        bind(f"{body}.norm", block.norm)
        bind(f"{body}.mlp.up", block.up)
        bind(f"{body}.mlp.down", block.down)
        bindings[f"{body}.scale.scale"] = Binding(block.scale)
    bind("last", module.last)
    bind("head", module.head)
    return Model(architecture, module, bindings)
