"""From a layer of the tree to its NumPy module: one registration per layer of the vocabulary.

A layer of your own needs a module with a forward and a backward pass, and a registration, in a module of your package that
your model's descriptor names under `lowerings={"numpy": "your_package.lowering_numpy"}`. For a layer `Scale` (y = x * scale)
with one parameter "scale" of shape (features,)::

    from mlbench_core.reference.lowering import lower
    from mlbench_core.reference.module import At, Module, variables

    class ScaleModule(Module):
        def __init__(self, scale):
            self.scale = scale

        def forward(self, x, mode):
            self.x = x
            return x * self.scale.value

        def backward(self, dy):
            self.scale.grad = (dy * self.x).sum(tuple(range(dy.ndim - 1)))
            return dy * self.scale.value

    @lower.register
    def _(layer: Scale, site: At) -> Module:
        return ScaleModule(**variables(layer, site))

`variables` makes and binds a Variable per parameter, in the tree's layout. A container lowers its children with
`lower(child, site.child(name, shape))` for each of `layer.children(site.shape)`; see `Residual` below.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch

from mlbench_core.architecture import (
    Activation,
    BatchNorm,
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
    Tokens,
)
from mlbench_core.errors import UnsupportedError
from mlbench_core.reference import images, layers, sequences
from mlbench_core.reference.module import At, Module, variables

ACTIVATIONS: dict[str, Callable[[], Module]] = {
    "relu": layers.Relu,
    "gelu": layers.Gelu,
    "tanh": layers.Tanh,
    "silu": layers.Silu,
}


@singledispatch
def lower(layer: Layer, site: At) -> Module:
    """The NumPy module of `layer` for an input sample of `site.shape`; binds its parameters at `site`.

    Raises UnsupportedError for a layer without a registration.
    """
    raise UnsupportedError(
        f"numpy has no lowering for {type(layer).__name__} (at {site.path or 'the root'}): register one with "
        f"@mlbench_core.reference.lowering.lower.register and name its module in the model's ModelSource.lowerings['numpy']"
    )


@lower.register
def _(layer: Sequential, site: At) -> Module:
    return layers.Sequential(
        [lower(child, site.child(name, shape)) for name, child, shape in layer.children(site.shape)]
    )


@lower.register
def _(layer: Residual, site: At) -> Module:
    lowered = {name: lower(child, site.child(name, shape)) for name, child, shape in layer.children(site.shape)}
    return layers.Residual(lowered["body"], lowered.get("shortcut"))


@lower.register
def _(layer: Gated, site: At) -> Module:
    lowered = {name: lower(child, site.child(name, shape)) for name, child, shape in layer.children(site.shape)}
    return layers.Gated(lowered["body"], lowered["gate"])


@lower.register
def _(layer: Dense, site: At) -> Module:
    return layers.Dense(**variables(layer, site))


@lower.register
def _(layer: Conv2D, site: At) -> Module:
    bound = variables(layer, site)
    return images.Conv2D(bound["kernel"], bound.get("bias"), layer.stride, layer.padding, layer.groups)


@lower.register
def _(layer: BatchNorm, site: At) -> Module:
    return layers.BatchNorm(**variables(layer, site), epsilon=layer.epsilon, momentum=layer.momentum)


@lower.register
def _(layer: LayerNorm, site: At) -> Module:
    return layers.LayerNorm(**variables(layer, site), epsilon=layer.epsilon)


@lower.register
def _(layer: RMSNorm, site: At) -> Module:
    return layers.RMSNorm(**variables(layer, site), epsilon=layer.epsilon)


@lower.register
def _(layer: LayerScale, site: At) -> Module:
    return layers.LayerScale(**variables(layer, site))


@lower.register
def _(layer: Activation, site: At) -> Module:
    return ACTIVATIONS[layer.function]()


@lower.register
def _(layer: MaxPool2D, site: At) -> Module:
    return images.MaxPool2D(layer.window, layer.stride, layer.padding)


@lower.register
def _(layer: GlobalAveragePool2D, site: At) -> Module:
    return images.GlobalAveragePool2D()


@lower.register
def _(layer: Flatten, site: At) -> Module:
    return layers.Flatten()


@lower.register
def _(layer: Embedding, site: At) -> Module:
    return sequences.Embedding(**variables(layer, site))


@lower.register
def _(layer: PositionEmbedding, site: At) -> Module:
    return sequences.PositionEmbedding(**variables(layer, site))


@lower.register
def _(layer: SegmentEmbedding, site: At) -> Module:
    return sequences.SegmentEmbedding(**variables(layer, site))


@lower.register
def _(layer: SelfAttention, site: At) -> Module:
    bound = variables(layer, site)
    parts = {
        part: layers.Dense(bound[f"{part}.kernel"], bound[f"{part}.bias"])
        for part in ("query", "key", "value", "output")
    }
    return sequences.SelfAttention(**parts, heads=layer.heads, causal=layer.causal)


@lower.register
def _(layer: SelectToken, site: At) -> Module:
    return sequences.SelectToken(layer.index)


@lower.register
def _(layer: Tokens, site: At) -> Module:
    return images.Tokens()


@lower.register
def _(layer: MeanTokens, site: At) -> Module:
    return sequences.MeanTokens()


@lower.register
def _(layer: Dropout, site: At) -> Module:
    return layers.Dropout(layer.rate)
