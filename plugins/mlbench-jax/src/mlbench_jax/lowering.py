"""Lowers a tree of layers to Flax NNX: one registration per layer, and `Model`, which holds the result."""

from __future__ import annotations

from functools import partial, singledispatch
from typing import Any

import jax
from attrs import frozen
from flax import nnx

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
    Site,
    Tokens,
)
from mlbench_core.errors import UnsupportedError
from mlbench_core.trial import Plan
from mlbench_jax import modules, settings
from mlbench_jax.modules import Part

ACTIVATIONS: dict[str, Part] = {
    "relu": nnx.relu,
    "gelu": partial(nnx.gelu, approximate=False),
    "tanh": nnx.tanh,
    "silu": nnx.silu,
}

# Every parameter is overwritten with the core's weights, so drawing random ones first would only cost time.
ZEROS = nnx.initializers.zeros_init()


@frozen(kw_only=True)
class NnxSite(Site[nnx.Variable[Any]]):
    """A site that also says in which types a layer computes (`dtype`) and keeps its parameters (`param_dtype`).

    rngs: where modules take random keys from, seeded with the plan's seed. platform: of the session's device, "cpu" or another.
    tuned: the plan's.
    """

    dtype: Any
    param_dtype: Any
    rngs: nnx.Rngs
    platform: str
    tuned: bool

    @property
    def types(self) -> dict[str, Any]:
        """The two types, as keyword arguments of every NNX module that has parameters."""
        return {"dtype": self.dtype, "param_dtype": self.param_dtype}


@frozen
class Model:
    """What `make_session` takes. A hand-written native model returns one too.

    module: takes a batch of x and returns logits. bindings: for every parameter and running statistic of the architecture,
    the module's nnx.Variable that holds it; `make_session` fills it, in the plan's type.
    """

    architecture: Architecture
    module: nnx.Module
    bindings: dict[str, Binding[nnx.Variable[Any]]]


def build(architecture: Architecture, plan: Plan) -> Model:
    """Lowers the tree, on the host. Raises UnsupportedError for a plan or a layer that cannot be run."""
    precision, placement = settings.apply(plan)
    with jax.default_device(settings.host()):
        site = NnxSite(
            shape=architecture.input_shape,
            dtype=precision.compute,
            param_dtype=precision.dtype,
            rngs=nnx.Rngs(plan.seed),
            platform=placement.devices[0].platform,
            tuned=plan.tuned,
        )
        root = lower(architecture.root, site)
    module = root if isinstance(root, nnx.Module) else nnx.Sequential(root)
    return Model(architecture, module, site.bindings)


@singledispatch
def lower(layer: Layer, site: NnxSite) -> Part:
    """The module or function of `layer` for an input sample of `site.shape`; binds its parameters at `site`.

    Raises UnsupportedError for a layer without a registration.
    """
    raise UnsupportedError(
        f"jax has no lowering for {type(layer).__name__} (at {site.path or 'the root'}): register one with "
        f"@mlbench_jax.lowering.lower.register and name its module in the model's ModelSource.lowerings['jax']"
    )


def _children(layer: Layer, site: NnxSite) -> dict[str, Part]:
    return {name: lower(child, site.child(name, shape)) for name, child, shape in layer.children(site.shape)}


def _bind(site: NnxSite, **natives: nnx.Variable[Any] | None) -> None:
    for name, native in natives.items():
        if native is not None:
            site.bind(name, native)


@lower.register
def _(layer: Sequential, site: NnxSite) -> Part:
    return nnx.Sequential(*_children(layer, site).values())


@lower.register
def _(layer: Residual, site: NnxSite) -> Part:
    children = _children(layer, site)
    return modules.Residual(children["body"], children.get("shortcut"))


@lower.register
def _(layer: Gated, site: NnxSite) -> Part:
    children = _children(layer, site)
    return modules.Gated(children["body"], children["gate"])


@lower.register
def _(layer: Dense, site: NnxSite) -> Part:
    linear = nnx.Linear(
        site.shape[-1], layer.features, use_bias=layer.use_bias, kernel_init=ZEROS, rngs=site.rngs, **site.types
    )
    _bind(site, kernel=linear.kernel, bias=linear.bias)
    return linear


@lower.register
def _(layer: Conv2D, site: NnxSite) -> Part:
    conv = nnx.Conv(
        site.shape[-1],
        layer.features,
        kernel_size=(layer.kernel, layer.kernel),
        strides=(layer.stride, layer.stride),
        padding=[(layer.padding, layer.padding)] * 2,
        feature_group_count=layer.groups,
        use_bias=layer.use_bias,
        kernel_init=ZEROS,
        rngs=site.rngs,
        **site.types,
    )
    _bind(site, kernel=conv.kernel, bias=conv.bias)
    return conv


@lower.register
def _(layer: BatchNorm, site: NnxSite) -> Part:
    norm = nnx.BatchNorm(site.shape[-1], momentum=layer.momentum, epsilon=layer.epsilon, rngs=site.rngs, **site.types)
    _bind(site, scale=norm.scale, bias=norm.bias, mean=norm.mean, var=norm.var)
    return norm


@lower.register
def _(layer: LayerNorm, site: NnxSite) -> Part:
    norm = nnx.LayerNorm(site.shape[-1], epsilon=layer.epsilon, rngs=site.rngs, **site.types)
    _bind(site, scale=norm.scale, bias=norm.bias)
    return norm


@lower.register
def _(layer: RMSNorm, site: NnxSite) -> Part:
    norm = nnx.RMSNorm(site.shape[-1], epsilon=layer.epsilon, rngs=site.rngs, **site.types)
    _bind(site, scale=norm.scale)
    return norm


@lower.register
def _(layer: LayerScale, site: NnxSite) -> Part:
    scale = modules.LayerScale(site.shape[-1], **site.types)
    site.bind("scale", scale.scale)
    return scale


@lower.register
def _(layer: Activation, site: NnxSite) -> Part:
    return ACTIVATIONS[layer.function]


@lower.register
def _(layer: MaxPool2D, site: NnxSite) -> Part:
    return partial(
        nnx.max_pool,
        window_shape=(layer.window, layer.window),
        strides=(layer.stride, layer.stride),
        padding=((layer.padding, layer.padding),) * 2,
    )


@lower.register
def _(layer: GlobalAveragePool2D, site: NnxSite) -> Part:
    return modules.global_average


@lower.register
def _(layer: Flatten, site: NnxSite) -> Part:
    return modules.flatten


@lower.register
def _(layer: Embedding, site: NnxSite) -> Part:
    embedding = modules.Embedding(layer.vocabulary, layer.features, **site.types)
    site.bind("table", embedding.table)
    return embedding


@lower.register
def _(layer: PositionEmbedding, site: NnxSite) -> Part:
    positions = modules.Positions(layer.max_length, site.shape[-1], **site.types)
    site.bind("table", positions.table)
    return positions


@lower.register
def _(layer: SegmentEmbedding, site: NnxSite) -> Part:
    segment = modules.FirstSegment(layer.segments, site.shape[-1], **site.types)
    site.bind("table", segment.table)
    return segment


@lower.register
def _(layer: SelfAttention, site: NnxSite) -> Part:
    linear = partial(nnx.Linear, kernel_init=ZEROS, rngs=site.rngs, **site.types)
    fused = site.tuned and modules.has_fused_attention(site.dtype, site.platform, site.shape[-1] // layer.heads)
    attend = partial(modules.attention(site.dtype, site.platform, fused), is_causal=layer.causal)
    attention = modules.SelfAttention(site.shape[-1], layer.heads, linear, attend)
    for part in ("query", "key", "value", "output"):
        site.bind(f"{part}.kernel", getattr(attention, part).kernel)
        site.bind(f"{part}.bias", getattr(attention, part).bias)
    return attention


@lower.register
def _(layer: SelectToken, site: NnxSite) -> Part:
    return partial(modules.select_token, index=layer.index)


@lower.register
def _(layer: Tokens, site: NnxSite) -> Part:
    return modules.tokens


@lower.register
def _(layer: MeanTokens, site: NnxSite) -> Part:
    return modules.mean_tokens


@lower.register
def _(layer: Dropout, site: NnxSite) -> Part:
    # One that drops nothing draws nothing: without random state, a step has less to carry.
    return nnx.Dropout(layer.rate, rngs=site.rngs if layer.rate else None)
