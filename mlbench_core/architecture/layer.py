"""What a layer is: an immutable value that explains itself.

A layer knows the shape it returns, the parameters it owns and the multiply-accumulates it costs, all
without a framework. A new layer is therefore one class (here or in anybody's package); the core needs no edit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Generic, Self, TypeVar

from attrs import evolve, field, frozen

from mlbench_core.errors import ArchitectureError

Shape = tuple[int, ...]
"""The shape of one sample, without the batch axis. Images are (height, width, channels), sequences (length, features)."""


@frozen
class Constant:
    """Every element starts at `value`."""

    value: float


@frozen
class Normal:
    """Elements are drawn from a normal distribution with mean 0 and standard deviation `std`."""

    std: float


@frozen
class Uniform:
    """Elements are drawn uniformly from [-bound, bound]."""

    bound: float


Initializer = Constant | Normal | Uniform
ZEROS, ONES = Constant(0.0), Constant(1.0)


@frozen
class Parameter:
    """One array a layer owns.

    `name` is local to the layer ("kernel"); in a table it is the path in the tree ("layer1.0.conv1.kernel").
    `trainable` is False for state that a forward pass updates (BatchNorm's running mean and variance).
    """

    name: str
    shape: Shape
    init: Initializer
    trainable: bool = True

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)


@frozen
class Layer:
    """Base of every layer. Override what the layer has; the defaults describe a layer without parameters."""

    def output_shape(self, shape: Shape) -> Shape:
        """The shape of one output sample for an input sample of `shape`.

        Raises ArchitectureError if the layer cannot take that shape.
        """
        return shape

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        """The parameters this layer itself owns (not its children's), for an input sample of `shape`."""
        return ()

    def macs(self, shape: Shape) -> int:
        """Multiply-accumulates of one sample's forward pass in this layer itself; 1 MAC is 2 FLOPs.

        Only matrix products and convolutions count, as in the published figures for ResNet and BERT.
        """
        return 0

    def children(self, shape: Shape) -> Sequence[tuple[str, Layer, Shape]]:
        """The layers inside this one: (name, layer, shape of the sample that reaches it)."""
        return ()

    def require_rank(self, shape: Shape, rank: int, axes: str) -> None:
        """Raises ArchitectureError unless a sample has `rank` axes; `axes` names them for the message."""
        if len(shape) != rank:
            raise ArchitectureError(f"{type(self).__name__} takes samples of shape {axes}, got {shape}")


Native = TypeVar("Native")


@frozen
class Binding(Generic[Native]):
    """Where a parameter of the tree lives in a framework: native = tree.transpose(axes).reshape(shape of native).

    axes None: nothing is transposed (NumPy's own transpose(None) would reverse the axes).
    """

    native: Native
    axes: tuple[int, ...] | None = None


@frozen
class Site(Generic[Native]):
    """Where in the tree a layer stands while a framework lowers it, and where the lowering binds its parameters.

    Each framework's `lower(layer, site)` builds the native layer for an input sample of `site.shape`, calls
    `site.bind` once per parameter, and lowers children with `site.child(name, shape)`.
    """

    shape: Shape
    path: str = ""
    bindings: dict[str, Binding[Native]] = field(factory=dict)

    def child(self, name: str, shape: Shape) -> Self:
        """The site of a child layer; it shares this site's bindings."""
        return evolve(self, shape=shape, path=join(self.path, name))

    def bind(self, parameter: str, native: Native, axes: tuple[int, ...] | None = None) -> None:
        """Says that `native` holds this layer's `parameter` (its local name), transposed by `axes` if given."""
        self.bindings[join(self.path, parameter)] = Binding(native, axes)


def join(path: str, name: str) -> str:
    """The path of `name` inside `path`; the root's path is empty."""
    return f"{path}.{name}" if path else name
