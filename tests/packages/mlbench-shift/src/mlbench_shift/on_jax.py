"""ShiftScale on JAX."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from mlbench_jax.lowering import NnxSite, lower
from mlbench_shift.model import ShiftScale


class ShiftScaleModule(nnx.Module):
    def __init__(self, steps: int, features: int, dtype: Any, param_dtype: Any) -> None:
        self.steps, self.dtype = steps, dtype
        self.gain = nnx.Param(jnp.ones(features, param_dtype))

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.roll(x, self.steps, -1) * self.gain[...].astype(self.dtype)


@lower.register
def _(layer: ShiftScale, site: NnxSite) -> nnx.Module:
    module = ShiftScaleModule(layer.steps, site.shape[-1], **site.types)
    site.bind("gain", module.gain)
    return module
