"""The layers that Flax NNX has no module of its own for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

Part = Callable[[jax.Array], jax.Array]
"""What a layer becomes: an nnx.Module, or a plain function if it has no parameters."""


class Residual(nnx.Module):  # type: ignore[misc]
    """body(x) + shortcut(x), or body(x) + x without a shortcut."""

    def __init__(self, body: Part, shortcut: Part | None) -> None:
        self.body = body
        self.shortcut = shortcut

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.body(x) + (x if self.shortcut is None else self.shortcut(x))


class Positions(nnx.Module):  # type: ignore[misc]
    """Adds row i of a table (max_length, features) to position i of x (batch, length, features)."""

    def __init__(self, max_length: int, features: int, dtype: Any, param_dtype: Any) -> None:
        self.table = nnx.Param(jnp.zeros((max_length, features), param_dtype))
        self.dtype = dtype

    def __call__(self, x: jax.Array) -> jax.Array:
        rows: jax.Array = self.table[: x.shape[1]]
        return x + rows.astype(self.dtype)


class FirstSegment(nnx.Module):  # type: ignore[misc]
    """Adds row 0 of a table (segments, features) to every position of x."""

    def __init__(self, segments: int, features: int, dtype: Any, param_dtype: Any) -> None:
        self.table = nnx.Param(jnp.zeros((segments, features), param_dtype))
        self.dtype = dtype

    def __call__(self, x: jax.Array) -> jax.Array:
        row: jax.Array = self.table[0]
        return x + row.astype(self.dtype)


def flatten(x: jax.Array) -> jax.Array:
    """One axis per sample, row-major."""
    return x.reshape(x.shape[0], -1)


def global_average(x: jax.Array) -> jax.Array:
    """The mean over height and width; 16-bit values are summed in float32."""
    return x.mean(axis=(1, 2))


def select_token(x: jax.Array, index: int) -> jax.Array:
    """Position `index` of each sequence."""
    return x[:, index]
