"""The layers that Flax NNX has no module of its own for."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

Part = Callable[[jax.Array], jax.Array]
"""What a layer becomes: an nnx.Module, or a plain function if it has no parameters."""


class Residual(nnx.Module):
    """body(x) + shortcut(x), or body(x) + x without a shortcut."""

    def __init__(self, body: Part, shortcut: Part | None) -> None:
        self.body = body
        self.shortcut = shortcut

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.body(x) + (x if self.shortcut is None else self.shortcut(x))


class Gated(nnx.Module):
    """body(x) * gate(x)."""

    def __init__(self, body: Part, gate: Part) -> None:
        self.body, self.gate = body, gate

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.body(x) * self.gate(x)


class LayerScale(nnx.Module):
    """Multiplies the last axis by a learned factor per feature."""

    def __init__(self, features: int, dtype: Any, param_dtype: Any) -> None:
        self.scale = nnx.Param(jnp.zeros((features,), param_dtype))
        self.dtype = dtype

    def __call__(self, x: jax.Array) -> jax.Array:
        factors: jax.Array = self.scale[...]
        return x * factors.astype(self.dtype)


class Embedding(nnx.Module):
    """Rows of a table (vocabulary, features) for token ids (batch, length), cast after the look-up.

    nnx.Embed casts the whole table first, so that in bf16 and fp16 the gradients of a row are summed in 16 bits: inexact, and
    slow where few tokens are distinct. TensorFlow and PyTorch sum them in the table's type.
    """

    def __init__(self, vocabulary: int, features: int, dtype: Any, param_dtype: Any) -> None:
        self.table = nnx.Param(jnp.zeros((vocabulary, features), param_dtype))
        self.dtype = dtype

    def __call__(self, ids: jax.Array) -> jax.Array:
        rows: jax.Array = jnp.take(self.table[...], ids, axis=0)
        return rows.astype(self.dtype)


class Positions(nnx.Module):
    """Adds row i of a table (max_length, features) to position i of x (batch, length, features)."""

    def __init__(self, max_length: int, features: int, dtype: Any, param_dtype: Any) -> None:
        self.table = nnx.Param(jnp.zeros((max_length, features), param_dtype))
        self.dtype = dtype

    def __call__(self, x: jax.Array) -> jax.Array:
        rows: jax.Array = self.table[: x.shape[1]]
        return x + rows.astype(self.dtype)


class FirstSegment(nnx.Module):
    """Adds row 0 of a table (segments, features) to every position of x."""

    def __init__(self, segments: int, features: int, dtype: Any, param_dtype: Any) -> None:
        self.table = nnx.Param(jnp.zeros((segments, features), param_dtype))
        self.dtype = dtype

    def __call__(self, x: jax.Array) -> jax.Array:
        row: jax.Array = self.table[0]
        return x + row.astype(self.dtype)


class SelfAttention(nnx.Module):
    """Four projections around `attend`, which takes query, key and value. Sequences (batch, length, features)."""

    def __init__(
        self, features: int, heads: int, linear: Callable[[int, int], Any], attend: Callable[..., Any]
    ) -> None:
        self.query = linear(features, features)
        self.key = linear(features, features)
        self.value = linear(features, features)
        self.output = linear(features, features)
        self.heads = heads
        self.attend = attend

    def __call__(self, x: jax.Array) -> jax.Array:
        heads = (*x.shape[:-1], self.heads, x.shape[-1] // self.heads)
        query, key, value = (part(x).reshape(heads) for part in (self.query, self.key, self.value))
        mixed: jax.Array = self.output(self.attend(query, key, value).reshape(x.shape))
        return mixed


def attention(dtype: Any, platform: str, fused: bool) -> Callable[..., Any]:
    """JAX's own attention where it does what it should for that type on that platform, else `plain_attention`.

    JAX's own takes its softmax in float32 even in float64, and asks for a float16 product that XLA's CPU lacks.
    nnx.MultiHeadAttention calls it, and so has the same faults. fused: by cuDNN, in one kernel.
    """
    faulty = dtype == jnp.float64 or (dtype == jnp.float16 and platform == "cpu")
    if faulty:
        return plain_attention
    return partial(jax.nn.dot_product_attention, implementation="cudnn") if fused else jax.nn.dot_product_attention


def has_fused_attention(dtype: Any, platform: str, size: int) -> bool:
    """Whether cuDNN's attention takes heads of that size: a multiple of 8 up to 128 (256 from Hopper on), in 16 bits: so say
    the checks in jax/_src/cudnn/fused_attention_stablehlo.py."""
    return platform == "gpu" and jnp.dtype(dtype).itemsize == 2 and size % 8 == 0 and size <= 128


def plain_attention(query: jax.Array, key: jax.Array, value: jax.Array, is_causal: bool = False) -> jax.Array:
    """JAX's own in plain operations, the softmax in at least float32. Arrays (batch, length, heads, size)."""
    wide = jnp.promote_types(query.dtype, jnp.float32)
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key, preferred_element_type=wide) / math.sqrt(query.shape[-1])
    if is_causal:
        before = jnp.tril(jnp.ones((query.shape[1], key.shape[1]), bool))
        scores = jnp.where(before, scores, -jnp.inf)
    return jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores).astype(query.dtype), value)


def flatten(x: jax.Array) -> jax.Array:
    """One axis per sample, row-major."""
    return x.reshape(x.shape[0], -1)


def global_average(x: jax.Array) -> jax.Array:
    """The mean over height and width; 16-bit values are summed in float32."""
    return x.mean(axis=(1, 2))


def select_token(x: jax.Array, index: int) -> jax.Array:
    """Position `index` of each sequence."""
    return x[:, index]


def tokens(x: jax.Array) -> jax.Array:
    """(batch, height, width, channels) to (batch, height * width, channels)."""
    return x.reshape(x.shape[0], -1, x.shape[-1])


def mean_tokens(x: jax.Array) -> jax.Array:
    """The mean over the positions of each sequence; 16-bit values are summed in float32."""
    return x.mean(axis=1)
