"""Layers that the vocabulary lacks, and errors that name what is wrong."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from attrs import frozen
from flax import nnx

import mlbench_jax.plugin
from mlbench_core.architecture import Architecture, Constant, Dense, Layer, Optimizer, Parameter
from mlbench_core.errors import PluginError
from mlbench_core.testing.cases import random_batch
from mlbench_core.testing.extension import Extension, Mix, around
from mlbench_jax import lowering, modules
from mlbench_jax.lowering import NnxSite, lower
from mlbench_jax.modules import Part


@frozen
class Secretive(Layer):
    pass


@frozen
class Scale(Layer):
    """The example of the README."""

    def parameters(self, shape):
        return (Parameter("scale", shape[-1:], Constant(2.0)),)


class ScaleModule(nnx.Module):
    def __init__(self, features, dtype):
        self.scale, self.dtype = nnx.Param(jnp.ones(features, jnp.float32)), dtype

    def __call__(self, x):
        return x * self.scale[...].astype(self.dtype)


@lower.register
def _(layer: Secretive, site: NnxSite) -> Part:
    return nnx.Linear(site.shape[-1], site.shape[-1], rngs=site.rngs, **site.types)


@lower.register
def _(layer: Scale, site: NnxSite) -> Part:
    module = ScaleModule(site.shape[-1], site.dtype)
    site.bind("scale", module.scale)
    return module


class TestExtension(Extension):
    plugin = mlbench_jax.plugin
    lowering = lowering
    imports = frozenset({"jax", "flax", "optax"})

    @staticmethod
    def mix(layer: Mix, site: NnxSite) -> Part:
        native = nnx.Linear(site.shape[-1], site.shape[-1], use_bias=False, rngs=site.rngs, **site.types)
        site.bind("kernel", native.kernel, axes=(1, 0))
        return native

    def test_a_parameter_that_the_tree_does_not_know_is_named(self):
        with pytest.raises(PluginError, match="did not bind: .*kernel"), self.session(around(Secretive())):
            pass

    def test_the_readmes_example(self):
        batch = random_batch(around(Scale()))
        with self.session(around(Scale())) as twin:
            weights = twin.weights()
            hidden = batch.x.astype(np.float64) @ weights["first.kernel"] + weights["first.bias"]
            # Two float64 products of three terms each, against NumPy's.
            np.testing.assert_allclose(twin.infer(batch), 2 * hidden, rtol=1e-12)

    def test_a_layer_alone_is_a_model(self):
        architecture = Architecture(
            name="one",
            root=Dense(4),
            input_shape=(3,),
            num_classes=4,
            optimizer=Optimizer(name="sgd", learning_rate=0.1),
        )
        with self.session(architecture) as twin:
            batch = random_batch(architecture)
            assert twin.train(batch) > twin.train(batch)


@pytest.mark.parametrize(
    ("dtype", "platform", "size", "fused"),
    [
        (jnp.bfloat16, "gpu", 64, True),
        (jnp.float16, "gpu", 128, True),
        (jnp.float32, "gpu", 64, False),  # cuDNN's takes 16 bits alone
        (jnp.bfloat16, "cpu", 64, False),
        (jnp.bfloat16, "gpu", 12, False),  # no multiple of 8
        (jnp.bfloat16, "gpu", 136, False),  # too large for a GPU older than Hopper
    ],
)
def test_which_attention_cudnn_takes(dtype, platform, size, fused):
    assert modules.has_fused_attention(dtype, platform, size) == fused
