"""From a layer of the tree to acorn's own layer: one registration for each kind of layer."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

from mlbench_core.architecture import Activation, Dense, Flatten, Layer, Sequential, Site
from mlbench_core.errors import UnsupportedError


class Value:
    """A parameter and its gradient, in the tree's layout."""

    def __init__(self) -> None:
        self.array: Any = None
        self.gradient: Any = None


At = Site[Value]


@singledispatch
def lower(layer: Layer, site: At) -> Any:
    """The native layer for samples of `site.shape`; binds its parameters at `site`."""
    raise UnsupportedError(
        f"acorn has no lowering for {type(layer).__name__} (at {site.path or 'the root'}): "
        f"register one with @mlbench_acorn.lowering.lower.register"
    )


# TODO 2: replace these classes by layers of your framework, which needs no backward of yours.


class Chain:
    """Layers one after another."""

    def __init__(self, layers: list[Any]) -> None:
        self.layers = layers

    def forward(self, x: Any) -> Any:
        """The last layer's output."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dy: Any) -> Any:
        """The gradient by the first layer's input."""
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy


class Product:
    """x @ kernel + bias."""

    def __init__(self, kernel: Value, bias: Value | None) -> None:
        self.kernel, self.bias = kernel, bias

    def forward(self, x: Any) -> Any:
        """Over the last axis."""
        self.x = x
        y = x @ self.kernel.array
        return y if self.bias is None else y + self.bias.array

    def backward(self, dy: Any) -> Any:
        """Leaves the gradients at the values."""
        rows = dy.reshape(-1, dy.shape[-1])
        self.kernel.gradient = self.x.reshape(len(rows), -1).T @ rows
        if self.bias is not None:
            self.bias.gradient = rows.sum(0)
        return dy @ self.kernel.array.T


class Relu:
    """max(x, 0)."""

    def forward(self, x: Any) -> Any:
        """Element by element."""
        self.positive = x > 0
        return x * self.positive

    def backward(self, dy: Any) -> Any:
        """Nothing comes through where x was not positive."""
        return dy * self.positive


class Flat:
    """A sample in one row."""

    def forward(self, x: Any) -> Any:
        """Rows, then columns, then channels."""
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dy: Any) -> Any:
        """The old shape."""
        return dy.reshape(self.shape)


@lower.register
def _(layer: Sequential, site: At) -> Any:
    return Chain([lower(child, site.child(name, shape)) for name, child, shape in layer.children(site.shape)])


@lower.register
def _(layer: Dense, site: At) -> Any:
    made = {parameter.name: Value() for parameter in layer.parameters(site.shape)}
    for name, value in made.items():
        site.bind(name, value)
    return Product(made["kernel"], made.get("bias"))


@lower.register
def _(layer: Flatten, site: At) -> Any:
    return Flat()


@lower.register
def _(layer: Activation, site: At) -> Any:
    if layer.function != "relu":
        raise UnsupportedError(
            f"acorn has no lowering for the activation {layer.function!r} (at {site.path}), only 'relu'"
        )
    return Relu()


# TODO 3: the other layers of mlbench_core.architecture: Conv2D, BatchNorm, MaxPool2D, GlobalAveragePool2D and Residual give you
# the ResNets; Embedding, PositionEmbedding, SegmentEmbedding, LayerNorm, SelfAttention, SelectToken and Dropout the BERTs.
# tests/test_acorn.py names what is missing: `python -m pytest -rs`.


def softmax_loss(logits: Any, labels: Any) -> tuple[Any, Any]:
    """The mean cross-entropy, and its gradient by the logits."""
    rows = np.arange(len(labels))
    shifted = logits - logits.max(1, keepdims=True)
    total = np.exp(shifted).sum(1, keepdims=True)
    gradient = np.exp(shifted) / total
    gradient[rows, labels] -= 1
    return (np.log(total[:, 0]) - shifted[rows, labels]).mean(), gradient / len(labels)
