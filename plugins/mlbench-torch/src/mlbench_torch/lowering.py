"""From a layer of the tree to torch.nn: one short registration per layer of the vocabulary.

A sample of rank 3 is an image. Its batches reach the modules as (batch, channels, height, width) in the memory format
channels_last, the layout that PyTorch's convolutions want; every other batch keeps the tree's order of axes.

A layer of your own needs a registration, in a module of your package that your model's descriptor names under
`lowerings={"pytorch": "your_package.lowering_torch"}`; the README has an example.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import singledispatch

from attrs import frozen
from torch import Tensor, nn

from mlbench_core.architecture import (
    Activation,
    Architecture,
    BatchNorm,
    Binding,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Gated,
    GlobalAveragePool2D,
    Layer,
    LayerNorm,
    LayerScale,
    MaxPool2D,
    MeanTokens,
    PositionEmbedding,
    Residual,
    RMSNorm,
    SegmentEmbedding,
    SelectToken,
    SelfAttention,
    Sequential,
    Shape,
    Site,
    Tokens,
)
from mlbench_core.errors import UnsupportedError
from mlbench_torch import modules

At = Site[Tensor]

EMPTY = nn.Sequential()
"""Its attributes are the names that no step can have."""
TRANSPOSED = (1, 0)
"""The tree's dense kernels are (in, out), nn.Linear's (out, in)."""
OIHW = (3, 2, 0, 1)
"""The tree's convolution kernels are (height, width, in, out), nn.Conv2d's (out, in, height, width)."""

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
}


@frozen
class Model:
    """What `make_session` takes. A hand-written native model returns one too.

    module: takes a batch of x and returns logits. bindings: for every parameter and running statistic of the architecture,
    the module's parameter or buffer that holds it; the module may be anywhere and in any type, `make_session` places it.
    A model serves one session.
    """

    architecture: Architecture
    module: nn.Module
    bindings: dict[str, Binding[Tensor]]


def build(architecture: Architecture) -> Model:
    """Lowers the tree. Raises UnsupportedError for a layer that has no lowering."""
    site: At = Site(architecture.input_shape)
    module = lower(architecture.root, site)
    return Model(architecture, module, site.bindings)


@singledispatch
def lower(layer: Layer, site: At) -> nn.Module:
    """The module of `layer` for an input sample of `site.shape`; binds its parameters at `site`.

    Raises UnsupportedError for a layer without a registration.
    """
    raise UnsupportedError(
        f"pytorch has no lowering for {type(layer).__name__} (at {site.path or 'the root'}): register one with "
        f"@mlbench_torch.lowering.lower.register and name its module in the model's ModelSource.lowerings['pytorch']"
    )


def is_image(shape: Shape) -> bool:
    """Whether a sample of this shape reaches modules as (channels, height, width)."""
    return len(shape) == 3


def _over_last_axis(module: nn.Module, shape: Shape) -> nn.Module:
    return modules.ChannelsLast(module) if is_image(shape) else module


def _children(layer: Layer, site: At) -> OrderedDict[str, nn.Module]:
    return OrderedDict(
        (name, lower(child, site.child(name, shape))) for name, child, shape in layer.children(site.shape)
    )


@lower.register
def _(layer: Sequential, site: At) -> nn.Module:
    # A call of a module costs one or two microseconds, of which a small model's inference would notice a hundred: what is
    # a sequence or nothing is no module of its own.
    steps: OrderedDict[str, nn.Module] = OrderedDict()
    for name, module in _children(layer, site).items():
        if isinstance(module, nn.Sequential):
            for inner, step in module.named_children():
                steps[_free(f"{name}_{inner}", steps)] = step
        elif not isinstance(module, nn.Identity):
            steps[_free(name, steps)] = module
    return nn.Sequential(steps)


def _free(name: str, steps: OrderedDict[str, nn.Module]) -> str:
    """A name for one more step: the layer's, longer where a step or PyTorch's own class has it, such as `double`."""
    while name in steps or hasattr(EMPTY, name):
        name += "_"
    return name


@lower.register
def _(layer: Residual, site: At) -> nn.Module:
    children = _children(layer, site)
    return modules.Residual(children["body"], children.get("shortcut"))


@lower.register
def _(layer: Gated, site: At) -> nn.Module:
    children = _children(layer, site)
    return modules.Gated(children["body"], children["gate"])


@lower.register
def _(layer: Dense, site: At) -> nn.Module:
    linear = nn.Linear(site.shape[-1], layer.features, bias=layer.use_bias)
    site.bind("kernel", linear.weight, TRANSPOSED)
    if layer.use_bias:
        site.bind("bias", linear.bias)
    return _over_last_axis(linear, site.shape)


@lower.register
def _(layer: Conv2D, site: At) -> nn.Module:
    conv = nn.Conv2d(
        site.shape[-1],
        layer.features,
        layer.kernel,
        layer.stride,
        layer.padding,
        groups=layer.groups,
        bias=layer.use_bias,
    )
    site.bind("kernel", conv.weight, OIHW)
    if conv.bias is not None:
        site.bind("bias", conv.bias)
    return conv


@lower.register
def _(layer: BatchNorm, site: At) -> nn.Module:
    kinds = {1: nn.BatchNorm1d, 3: nn.BatchNorm2d}
    kind = kinds.get(len(site.shape), modules.BatchNormLastAxis)
    # PyTorch's momentum is the weight of the new value, the tree's that of the old one.
    norm = kind(site.shape[-1], layer.epsilon, momentum=1 - layer.momentum)
    site.bind("scale", norm.weight)
    site.bind("bias", norm.bias)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    site.bind("mean", norm.running_mean)
    site.bind("var", norm.running_var)  # unbiased: see running.py
    return norm


@lower.register
def _(layer: LayerNorm, site: At) -> nn.Module:
    norm = nn.LayerNorm(site.shape[-1], layer.epsilon)
    site.bind("scale", norm.weight)
    site.bind("bias", norm.bias)
    return _over_last_axis(norm, site.shape)


@lower.register
def _(layer: RMSNorm, site: At) -> nn.Module:
    norm = nn.RMSNorm(site.shape[-1], layer.epsilon)
    site.bind("scale", norm.weight)
    return _over_last_axis(norm, site.shape)


@lower.register
def _(layer: LayerScale, site: At) -> nn.Module:
    scale = modules.LayerScale(site.shape[-1], is_image(site.shape))
    site.bind("scale", scale.weight)
    return scale


@lower.register
def _(layer: Activation, site: At) -> nn.Module:
    # Not in place: the input may be a batch that is used again, or what a residual adds.
    return ACTIVATIONS[layer.function]()


@lower.register
def _(layer: MaxPool2D, site: At) -> nn.Module:
    return nn.MaxPool2d(layer.window, layer.stride, layer.padding)


@lower.register
def _(layer: GlobalAveragePool2D, site: At) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


@lower.register
def _(layer: Flatten, site: At) -> nn.Module:
    return modules.FlattenImage() if is_image(site.shape) else nn.Flatten()


@lower.register
def _(layer: Embedding, site: At) -> nn.Module:
    embedding = nn.Embedding(layer.vocabulary, layer.features)
    site.bind("table", embedding.weight)
    return embedding


@lower.register
def _(layer: PositionEmbedding, site: At) -> nn.Module:
    positions = modules.Positions(layer.max_length, site.shape[-1])
    site.bind("table", positions.weight)
    return positions


@lower.register
def _(layer: SegmentEmbedding, site: At) -> nn.Module:
    segment = modules.FirstSegment(layer.segments, site.shape[-1])
    site.bind("table", segment.weight)
    return segment


@lower.register
def _(layer: SelfAttention, site: At) -> nn.Module:
    attention = modules.SelfAttention(site.shape[-1], layer.heads, layer.causal)
    for part in ("query", "key", "value", "output"):
        linear = attention.get_submodule(part)
        assert isinstance(linear, nn.Linear)
        site.bind(f"{part}.kernel", linear.weight, TRANSPOSED)
        site.bind(f"{part}.bias", linear.bias)
    return attention


@lower.register
def _(layer: SelectToken, site: At) -> nn.Module:
    return modules.SelectToken(layer.index)


@lower.register
def _(layer: Tokens, site: At) -> nn.Module:
    return modules.Tokens()


@lower.register
def _(layer: MeanTokens, site: At) -> nn.Module:
    return modules.MeanTokens()


@lower.register
def _(layer: Dropout, site: At) -> nn.Module:
    return nn.Dropout(layer.rate) if layer.rate else nn.Identity()
