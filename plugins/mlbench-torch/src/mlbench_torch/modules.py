"""The few layers that torch.nn lacks. Batches are (batch, length, features), images (batch, channels, height, width)."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class Residual(nn.Module):
    """body(x) + shortcut(x), or body(x) + x without a shortcut.

    By hand this is a line of somebody's `forward`, no module. So it costs as little as one: the steps of a sequence are called
    from here, from a tuple, and `forward` is called without what nn.Module does around it, hooks included. Together 25 us of
    the 3 to 4 ms that ResNet-18 or BERT-mini take to infer.
    """

    def __init__(self, body: nn.Module, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.body = nn.ModuleList(body if isinstance(body, nn.Sequential) else [body])
        self.steps = tuple(self.body)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the body's output shape."""
        out = x
        for step in self.steps:
            out = step(out)
        return out + (x if self.shortcut is None else self.shortcut(x))

    __call__ = forward


class Gated(nn.Module):
    """body(x) * gate(x)."""

    def __init__(self, body: nn.Module, gate: nn.Module) -> None:
        super().__init__()
        self.body, self.gate = body, gate

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the body's output shape, which is the gate's."""
        return self.body(x) * self.gate(x)  # type: ignore[no-any-return]


class LayerScale(nn.Module):
    """A learned factor per feature, or per channel of an image."""

    def __init__(self, features: int, image: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(features))
        self.shape = (-1, 1, 1) if image else (-1,)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, ..., features), or (batch, channels, height, width), in and out."""
        return x * self.weight.view(self.shape)


class ChannelsLast(nn.Module):
    """Applies a module that works over the last axis to an image's channels. Both permutations are views."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) in and out."""
        return self.inner(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # type: ignore[no-any-return]


class FlattenImage(nn.Module):
    """One axis per sample, in the order height, width, channels: a view of an image in channels_last."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) to (batch, height * width * channels)."""
        return x.permute(0, 2, 3, 1).flatten(1)


class Tokens(nn.Module):
    """An image's pixels as a sequence, row by row: a view of an image in channels_last."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) to (batch, height * width, channels)."""
        return x.flatten(2).transpose(1, 2)


class MeanTokens(nn.Module):
    """The mean over the positions of a sequence."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, length, features) to (batch, features)."""
        return x.mean(1)


class BatchNormLastAxis(nn.BatchNorm1d):
    """BatchNorm1d over every axis but the last, for samples that are neither vectors nor images."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, ..., features) in and out."""
        return super().forward(x.flatten(0, -2)).view_as(x)


class Positions(nn.Module):
    """Adds row i of a learned table to position i."""

    def __init__(self, rows: int, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, features))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, length, features) in and out."""
        return x + self.weight[: x.shape[1]]


class FirstSegment(nn.Module):
    """Adds row 0 of a learned table to every position."""

    def __init__(self, rows: int, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, features))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, length, features) in and out."""
        return x + self.weight[0]


class SelectToken(nn.Module):
    """One position of a sequence."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index

    def forward(self, x: Tensor) -> Tensor:
        """(batch, length, features) to (batch, features)."""
        return x[:, self.index]


class SelfAttention(nn.Module):
    """Multi-head self-attention, causal or without a mask, around PyTorch's fused scaled_dot_product_attention."""

    def __init__(self, features: int, heads: int, causal: bool = False) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.query = nn.Linear(features, features)
        self.key = nn.Linear(features, features)
        self.value = nn.Linear(features, features)
        self.output = nn.Linear(features, features)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, length, features) in and out. PyTorch's default scale is 1/sqrt(features / heads), as the tree's."""
        shape = (*x.shape[:2], self.heads, -1)
        query, key, value = (part(x).view(shape).transpose(1, 2) for part in (self.query, self.key, self.value))
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        return self.output(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]
