"""The vocabulary: the layers every framework plugin lowers. Those of sequences stand in `sequences`.

Images are (height, width, channels), kernels (height, width, in, out), dense kernels (in, out). Padding is explicit and
symmetric, because "same" padding means different things in different frameworks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from attrs import field, frozen, validators

from mlbench_core.architecture.layer import ONES, ZEROS, Constant, Initializer, Layer, Normal, Parameter, Shape, Uniform
from mlbench_core.architecture.sequences import Embedding as Embedding
from mlbench_core.architecture.sequences import MeanTokens as MeanTokens
from mlbench_core.architecture.sequences import PositionEmbedding as PositionEmbedding
from mlbench_core.architecture.sequences import SegmentEmbedding as SegmentEmbedding
from mlbench_core.architecture.sequences import SelectToken as SelectToken
from mlbench_core.architecture.sequences import SelfAttention as SelfAttention
from mlbench_core.architecture.sequences import Tokens as Tokens
from mlbench_core.errors import ArchitectureError

_positive = validators.gt(0)


def _named(layers: Mapping[str, Layer] | Iterable[Layer | tuple[str, Layer]]) -> tuple[tuple[str, Layer], ...]:
    if isinstance(layers, Mapping):
        return tuple(layers.items())
    return tuple(item if isinstance(item, tuple) else (str(i), item) for i, item in enumerate(layers))


@frozen
class Sequential(Layer):
    """Layers one after another. Takes a mapping of name to layer, or plain layers, which are named 0, 1, 2 ..."""

    layers: tuple[tuple[str, Layer], ...] = field(converter=_named)

    def children(self, shape: Shape) -> Sequence[tuple[str, Layer, Shape]]:
        found = []
        for name, layer in self.layers:
            found.append((name, layer, shape))
            try:
                shape = layer.output_shape(shape)
            except ArchitectureError as error:
                raise ArchitectureError(f"{name}: {error}") from None
        return found

    def output_shape(self, shape: Shape) -> Shape:
        for _name, layer, at in self.children(shape):
            shape = layer.output_shape(at)
        return shape


@frozen
class Residual(Layer):
    """body(x) + shortcut(x); without a shortcut, body(x) + x."""

    body: Layer
    shortcut: Layer | None = None

    def children(self, shape: Shape) -> Sequence[tuple[str, Layer, Shape]]:
        both = [("body", self.body, shape)]
        return both if self.shortcut is None else [*both, ("shortcut", self.shortcut, shape)]

    def output_shape(self, shape: Shape) -> Shape:
        out = self.body.output_shape(shape)
        other = shape if self.shortcut is None else self.shortcut.output_shape(shape)
        if out != other:
            raise ArchitectureError(f"Residual adds shapes that differ: body {out}, shortcut {other}")
        return out


@frozen
class Gated(Layer):
    """body(x) * gate(x), element by element: with a linear body and a sigmoid-like gate the GLU, with a SiLU the SwiGLU."""

    body: Layer
    gate: Layer

    def children(self, shape: Shape) -> Sequence[tuple[str, Layer, Shape]]:
        return [("body", self.body, shape), ("gate", self.gate, shape)]

    def output_shape(self, shape: Shape) -> Shape:
        out, other = self.body.output_shape(shape), self.gate.output_shape(shape)
        if out != other:
            raise ArchitectureError(f"Gated multiplies shapes that differ: body {out}, gate {other}")
        return out


@frozen
class Dense(Layer):
    """x @ kernel + bias over the last axis. Kernel (in, features), bias (features,).

    Without `init`, kernel and bias are uniform in +-1/sqrt(in), which is what PyTorch's Linear does.
    """

    features: int = field(validator=_positive)
    use_bias: bool = True
    init: Initializer | None = None

    def output_shape(self, shape: Shape) -> Shape:
        if not shape:
            raise ArchitectureError("Dense takes samples with at least one axis, got a scalar")
        return (*shape[:-1], self.features)

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        default = Uniform(1 / math.sqrt(shape[-1]))
        kernel = Parameter("kernel", (shape[-1], self.features), self.init or default)
        bias = Parameter("bias", (self.features,), ZEROS if self.init else default)
        return (kernel, bias) if self.use_bias else (kernel,)

    def macs(self, shape: Shape) -> int:
        return math.prod(shape) * self.features


def _window(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size + 2 * padding - kernel) // stride + 1


@frozen
class Conv2D(Layer):
    """A 2-D cross-correlation over (height, width, channels), zero padding of `padding` on every side.

    Kernel (k, k, in / groups, features). Without `init` it is He-normal over the fan out, as in ResNet's reference code.
    """

    features: int = field(validator=_positive)
    kernel: int = field(validator=_positive)
    stride: int = field(default=1, validator=_positive)
    padding: int = field(default=0, validator=validators.ge(0))
    groups: int = field(default=1, validator=_positive)
    use_bias: bool = True
    init: Initializer | None = None

    def output_shape(self, shape: Shape) -> Shape:
        self.require_rank(shape, 3, "(height, width, channels)")
        if shape[2] % self.groups or self.features % self.groups:
            raise ArchitectureError(
                f"Conv2D: {shape[2]} input and {self.features} output channels do not divide into {self.groups} groups"
            )
        height, width = (_window(size, self.kernel, self.stride, self.padding) for size in shape[:2])
        if height < 1 or width < 1:
            raise ArchitectureError(
                f"Conv2D: a {self.kernel}x{self.kernel} kernel does not fit an image of {shape[:2]}"
            )
        return (height, width, self.features)

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        fan_out = self.kernel * self.kernel * self.features // self.groups
        init = self.init or Normal(math.sqrt(2 / fan_out))
        kernel = Parameter("kernel", (self.kernel, self.kernel, shape[2] // self.groups, self.features), init)
        return (kernel, Parameter("bias", (self.features,), ZEROS)) if self.use_bias else (kernel,)

    def macs(self, shape: Shape) -> int:
        return math.prod(self.output_shape(shape)) * self.kernel * self.kernel * (shape[2] // self.groups)


@frozen
class BatchNorm(Layer):
    """Normalises over every axis but the last, then scale and bias.

    Training uses the batch's mean and biased variance; running = momentum * running + (1 - momentum) * batch, both
    biased. Evaluation uses the running values. (PyTorch's running variance is unbiased: its plugin accounts for it.)
    """

    epsilon: float = 1e-5
    momentum: float = 0.9

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        size = shape[-1:]
        return (
            Parameter("scale", size, ONES),
            Parameter("bias", size, ZEROS),
            Parameter("mean", size, ZEROS, trainable=False),
            Parameter("var", size, ONES, trainable=False),
        )


@frozen
class LayerNorm(Layer):
    """Normalises each sample's last axis with its biased variance, then scale and bias."""

    epsilon: float = 1e-12

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        return Parameter("scale", shape[-1:], ONES), Parameter("bias", shape[-1:], ZEROS)


@frozen
class RMSNorm(Layer):
    """Divides each sample's last axis by sqrt(mean(x^2) + epsilon), then scale (Zhang & Sennrich, 2019)."""

    epsilon: float = 1e-6

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        return (Parameter("scale", shape[-1:], ONES),)


@frozen
class LayerScale(Layer):
    """Multiplies the last axis by a learned factor per feature, which starts at `initial`: what a residual adds, kept small
    while training begins (Touvron et al., 2021)."""

    initial: float

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        return (Parameter("scale", shape[-1:], Constant(self.initial)),)


_FUNCTIONS = ("relu", "gelu", "tanh", "silu")


@frozen
class Activation(Layer):
    """relu, tanh, gelu in its exact form, x * Phi(x) (not the tanh approximation), or silu, x / (1 + exp(-x))."""

    function: Literal["relu", "gelu", "tanh", "silu"] = field(validator=validators.in_(_FUNCTIONS))


@frozen
class MaxPool2D(Layer):
    """The maximum over window x window patches; padding counts as minus infinity."""

    window: int = field(validator=_positive)
    stride: int = field(validator=_positive)
    padding: int = field(default=0, validator=validators.ge(0))

    def output_shape(self, shape: Shape) -> Shape:
        self.require_rank(shape, 3, "(height, width, channels)")
        if 2 * self.padding > self.window:
            raise ArchitectureError(f"MaxPool2D: padding {self.padding} is more than half the window of {self.window}")
        height, width = (_window(size, self.window, self.stride, self.padding) for size in shape[:2])
        if height < 1 or width < 1:
            raise ArchitectureError(f"MaxPool2D: a window of {self.window} does not fit an image of {shape[:2]}")
        return (height, width, shape[2])


@frozen
class GlobalAveragePool2D(Layer):
    """The mean over height and width: (height, width, channels) to (channels,)."""

    def output_shape(self, shape: Shape) -> Shape:
        self.require_rank(shape, 3, "(height, width, channels)")
        return shape[2:]


@frozen
class Flatten(Layer):
    """One axis, in row-major (NHWC) order."""

    def output_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)


@frozen
class Dropout(Layer):
    """While training, zeroes each element with probability `rate` and scales the rest by 1/(1 - rate); else nothing."""

    rate: float = field(validator=[validators.ge(0), validators.lt(1)])
