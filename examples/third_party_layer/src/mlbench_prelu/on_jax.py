"""PReLU in JAX, by Flax; its own has one slope for all features."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from mlbench_jax.lowering import NnxSite, lower
from mlbench_prelu.layer import PReLU


class ChannelPReLU(nnx.Module):
    """A slope per feature, kept in the type of parameters and used in that of products."""

    def __init__(self, features: int, dtype: Any, param_dtype: Any) -> None:
        self.dtype = dtype
        self.slope = nnx.Param(jnp.zeros(features, param_dtype))

    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, ..., features) in and out."""
        return jnp.where(x > 0, x, self.slope[...].astype(self.dtype) * x)


@lower.register
def _(layer: PReLU, site: NnxSite) -> nnx.Module:
    module = ChannelPReLU(site.shape[-1], **site.types)
    site.bind("slope", module.slope)
    return module
