"""From a layer of the tree to a Keras layer: one registration per layer of the vocabulary.

What is returned is called with Keras tensors while a functional model is put together, so it may be a layer or any
function of a tensor. Every layer gets its dtype policy (`site.policy`) itself: the global policy belongs to no session.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from functools import singledispatch
from typing import Any

import keras
import numpy as np
from attrs import field, frozen

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
    Site,
    Tokens,
)
from mlbench_core.errors import UnsupportedError
from mlbench_core.trial import Plan
from mlbench_tf.distributed import BatchNormOverReplicas
from mlbench_tf.modules import AddRows, FusedBatchNorm, PaddedConv2D, PaddedMaxPool2D, ScaleFeatures, explicit, gelu
from mlbench_tf.settings import POLICIES

NHWC = "channels_last"  # said to every layer, because the user's keras.json may have another default

Lowered = Callable[[Any], Any]


@frozen
class KerasSite(Site[Any]):
    """Where in the tree a layer stands, and the plan that it is lowered for."""

    plan: Plan = field(kw_only=True)

    @property
    def policy(self) -> str:
        """The Keras dtype policy of every layer: pass it as `dtype`."""
        return POLICIES[self.plan.precision]

    @property
    def seed(self) -> int:
        """A seed of this layer's own, from the plan's seed and the path."""
        return zlib.crc32(f"{self.plan.seed}/{self.path}".encode())

    def built(self, layer: Any) -> Any:
        """The Keras layer with its variables made, ready to be bound."""
        layer.build((None, *self.shape))
        return layer


@singledispatch
def lower(layer: Layer, site: KerasSite) -> Lowered:
    """The Keras layer of `layer` for an input sample of `site.shape`; binds its parameters at `site`.

    Raises UnsupportedError for a layer without a registration.
    """
    raise UnsupportedError(
        f"tensorflow has no lowering for {type(layer).__name__} (at {site.path or 'the root'}): register one with "
        f"@mlbench_tf.lowering.lower.register and name its module in the model's ModelSource.lowerings['tensorflow']"
    )


@lower.register
def _(layer: Sequential, site: KerasSite) -> Lowered:
    steps = [lower(child, site.child(name, shape)) for name, child, shape in layer.children(site.shape)]

    def chain(x: Any) -> Any:
        for step in steps:
            x = step(x)
        return x

    return chain


@lower.register
def _(layer: Residual, site: KerasSite) -> Lowered:
    branches = {name: lower(child, site.child(name, shape)) for name, child, shape in layer.children(site.shape)}
    body, shortcut = branches["body"], branches.get("shortcut")
    add = keras.layers.Add(dtype=site.policy)
    return lambda x: add([body(x), x if shortcut is None else shortcut(x)])


@lower.register
def _(layer: Gated, site: KerasSite) -> Lowered:
    branches = {name: lower(child, site.child(name, shape)) for name, child, shape in layer.children(site.shape)}
    multiply = keras.layers.Multiply(dtype=site.policy)
    return lambda x: multiply([branches["body"](x), branches["gate"](x)])


@lower.register
def _(layer: Dense, site: KerasSite) -> Lowered:
    native = site.built(keras.layers.Dense(layer.features, use_bias=layer.use_bias, dtype=site.policy))
    site.bind("kernel", native.kernel)
    if layer.use_bias:
        site.bind("bias", native.bias)
    return native  # type: ignore[no-any-return]


@lower.register
def _(layer: Conv2D, site: KerasSite) -> Lowered:
    # With a stride of 1 and an odd kernel, "same" is symmetric padding by half the kernel.
    same = layer.stride == 1 and layer.kernel == 2 * layer.padding + 1
    if same or layer.padding == 0:
        native = keras.layers.Conv2D(
            layer.features,
            layer.kernel,
            layer.stride,
            "same" if same else "valid",
            groups=layer.groups,
            use_bias=layer.use_bias,
            data_format=NHWC,
            dtype=site.policy,
        )
    else:
        native = PaddedConv2D(layer, site.plan.accelerated, data_format=NHWC, dtype=site.policy)
    site.built(native)
    site.bind("kernel", native.kernel)
    if layer.use_bias:
        site.bind("bias", native.bias)
    return native  # type: ignore[no-any-return]


@lower.register
def _(layer: BatchNorm, site: KerasSite) -> Lowered:
    plan = site.plan
    kind = keras.layers.BatchNormalization
    if plan.num_devices > 1:
        kind = BatchNormOverReplicas
    elif plan.accelerated and plan.execution != "compiled" and plan.precision != "fp64" and len(site.shape) == 3:
        kind = FusedBatchNorm  # XLA fuses Keras's own, and the operator is for images and has no float64
    native = site.built(kind(momentum=layer.momentum, epsilon=layer.epsilon, dtype=site.policy))
    site.bind("scale", native.gamma)
    site.bind("bias", native.beta)
    site.bind("mean", native.moving_mean)
    site.bind("var", native.moving_variance)
    return native  # type: ignore[no-any-return]


@lower.register
def _(layer: LayerNorm, site: KerasSite) -> Lowered:
    native = site.built(keras.layers.LayerNormalization(epsilon=layer.epsilon, dtype=site.policy))
    site.bind("scale", native.gamma)
    site.bind("bias", native.beta)
    return native  # type: ignore[no-any-return]


@lower.register
def _(layer: RMSNorm, site: KerasSite) -> Lowered:
    native = site.built(keras.layers.RMSNormalization(epsilon=layer.epsilon, dtype=site.policy))
    site.bind("scale", native.scale)
    return native  # type: ignore[no-any-return]


@lower.register
def _(layer: LayerScale, site: KerasSite) -> Lowered:
    native = site.built(ScaleFeatures(dtype=site.policy))
    site.bind("scale", native.scale)
    return native  # type: ignore[no-any-return]


@lower.register
def _(layer: Activation, site: KerasSite) -> Lowered:
    function = gelu if layer.function == "gelu" else layer.function
    return keras.layers.Activation(function, dtype=site.policy)  # type: ignore[no-any-return]


@lower.register
def _(layer: MaxPool2D, site: KerasSite) -> Lowered:
    if layer.padding and site.plan.accelerated and site.plan.execution != "compiled":
        return PaddedMaxPool2D(layer, dtype=site.policy)
    pool = keras.layers.MaxPooling2D(layer.window, layer.stride, "valid", data_format=NHWC, dtype=site.policy)
    if not layer.padding:
        return pool  # type: ignore[no-any-return]
    # XLA has no pool with explicit padding, and needs none: it fuses this pad into the pool. On a CPU the operator's own
    # padding is four times as slow as a pad in front.
    return lambda x: pool(keras.ops.pad(x, explicit(layer.padding), constant_values=-math.inf))


@lower.register
def _(layer: GlobalAveragePool2D, site: KerasSite) -> Lowered:
    return keras.layers.GlobalAveragePooling2D(data_format=NHWC, dtype=site.policy)  # type: ignore[no-any-return]


@lower.register
def _(layer: Flatten, site: KerasSite) -> Lowered:
    return keras.layers.Flatten(data_format=NHWC, dtype=site.policy)  # type: ignore[no-any-return]


@lower.register
def _(layer: Embedding, site: KerasSite) -> Lowered:
    native = site.built(keras.layers.Embedding(layer.vocabulary, layer.features, dtype=site.policy))
    site.bind("table", native.embeddings)
    return native  # type: ignore[no-any-return]


@lower.register
def _(layer: PositionEmbedding, site: KerasSite) -> Lowered:
    native = site.built(AddRows(layer.max_length, used=site.shape[0], dtype=site.policy))
    site.bind("table", native.table)
    return native  # type: ignore[no-any-return]


@lower.register
def _(layer: SegmentEmbedding, site: KerasSite) -> Lowered:
    native = site.built(AddRows(layer.segments, used=1, dtype=site.policy))
    site.bind("table", native.table)
    return native  # type: ignore[no-any-return]


@lower.register
def _(layer: SelfAttention, site: KerasSite) -> Lowered:
    native = keras.layers.MultiHeadAttention(layer.heads, site.shape[1] // layer.heads, dtype=site.policy)
    native.build((None, *site.shape), (None, *site.shape))
    # Keras holds the scale as a Python float, which TensorFlow turns into a float32 on its way to the model's type: wrong in
    # the eighth digit of a float64 model unless the root is a power of two. A NumPy double keeps all its digits.
    native._inverse_sqrt_key_dim = np.float64(1 / math.sqrt(site.shape[1] // layer.heads))
    parts = {
        "query": native.query_dense,
        "key": native.key_dense,
        "value": native.value_dense,
        "output": native.output_dense,
    }
    for name, dense in parts.items():  # kernels (features, heads, size of a head), or that reversed: a plain reshape
        site.bind(f"{name}.kernel", dense.kernel)
        site.bind(f"{name}.bias", dense.bias)
    return lambda x: native(x, x, use_causal_mask=layer.causal)


@lower.register
def _(layer: SelectToken, site: KerasSite) -> Lowered:
    return lambda x: x[:, layer.index]


@lower.register
def _(layer: Tokens, site: KerasSite) -> Lowered:
    return keras.layers.Reshape((-1, site.shape[2]), dtype=site.policy)  # type: ignore[no-any-return]


@lower.register
def _(layer: MeanTokens, site: KerasSite) -> Lowered:
    return keras.layers.GlobalAveragePooling1D(data_format=NHWC, dtype=site.policy)  # type: ignore[no-any-return]


@lower.register
def _(layer: Dropout, site: KerasSite) -> Lowered:
    return keras.layers.Dropout(layer.rate, seed=site.seed, dtype=site.policy)  # type: ignore[no-any-return]
