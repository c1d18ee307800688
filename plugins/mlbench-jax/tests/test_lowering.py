"""A layer that the vocabulary lacks: refused with its path, or lowered by a third party in a few lines."""

from __future__ import annotations

import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from attrs import frozen
from flax import nnx

from mlbench_core.architecture import (
    Architecture,
    Constant,
    Dense,
    Layer,
    Optimizer,
    Parameter,
    Sequential,
    initial_weights,
)
from mlbench_core.errors import PluginError, UnsupportedError
from mlbench_core.testing.cases import random_batch
from mlbench_core.trial import Plan
from mlbench_jax import lowering, plugin, training
from mlbench_jax.lowering import NnxSite, lower
from mlbench_jax.modules import Part


@frozen
class Unknown(Layer):
    pass


@frozen
class Mix(Layer):
    """x @ kernel.T, so that the framework's layout is not the tree's."""

    def parameters(self, shape):
        return (Parameter("kernel", (shape[-1], shape[-1]), Constant(0.5)),)


@frozen
class Forgetful(Mix):
    pass


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
def _(layer: Mix, site: NnxSite) -> Part:
    native = nnx.Linear(site.shape[-1], site.shape[-1], use_bias=False, rngs=site.rngs, **site.types)
    site.bind("kernel", native.kernel, axes=(1, 0))
    return native


@lower.register
def _(layer: Forgetful, site: NnxSite) -> Part:
    return lambda x: x


@lower.register
def _(layer: Secretive, site: NnxSite) -> Part:
    return nnx.Linear(site.shape[-1], site.shape[-1], rngs=site.rngs, **site.types)


@lower.register
def _(layer: Scale, site: NnxSite) -> Part:
    module = ScaleModule(site.shape[-1], site.dtype)
    site.bind("scale", module.scale)
    return module


def around(layer: Layer) -> Architecture:
    root = Sequential({"first": Dense(4), "own": layer})
    return Architecture("own", root, (3,), 4, Optimizer("sgd", learning_rate=0.1))


def session_of(architecture: Architecture, weights=None) -> training.Session:
    plan = Plan("cpu", "fp64", "compiled", 6, architecture.optimizer, 2, 0, "train")
    return training.Session(lowering.build(architecture, plan), weights or initial_weights(architecture, 0), plan)


def test_an_unknown_layer_is_refused_with_its_path():
    with pytest.raises(UnsupportedError, match=r"Unknown \(at own\).*lower\.register"):
        session_of(around(Unknown()))


def test_a_parameter_that_nobody_bound_is_named():
    with pytest.raises(PluginError, match=r"missing \['own.kernel'\]"):
        session_of(around(Forgetful()))


def test_a_parameter_that_the_tree_does_not_know_is_named():
    with pytest.raises(PluginError, match="did not bind: .*kernel"):
        session_of(around(Secretive()))


def test_a_third_partys_layer_with_another_layout():
    architecture = around(Mix())
    kernel = np.arange(16, dtype=np.float32).reshape(4, 4)
    weights = {**initial_weights(architecture, 0), "own.kernel": kernel}
    session, batch = session_of(architecture, weights), random_batch(architecture)
    placed = session.place(batch)
    hidden = batch.x.astype(np.float64) @ weights["first.kernel"] + weights["first.bias"]
    np.testing.assert_allclose(np.asarray(plugin.infer(session, placed)), hidden @ kernel.T, rtol=1e-12)
    np.testing.assert_array_equal(session.read_weights()["own.kernel"], kernel)
    cotangent = np.random.default_rng(0).standard_normal((6, 4))
    found = session.gradients(placed, cotangent).parameters["own.kernel"]
    np.testing.assert_allclose(found, cotangent.T @ hidden, rtol=1e-12)


def test_the_readmes_example():
    session = session_of(around(Scale()))
    batch = random_batch(session.architecture)
    weights = session.read_weights()
    hidden = batch.x.astype(np.float64) @ weights["first.kernel"] + weights["first.bias"]
    np.testing.assert_allclose(np.asarray(plugin.infer(session, session.place(batch))), 2 * hidden, rtol=1e-12)


def test_a_layer_alone_is_a_model():
    session = session_of(Architecture("one", Dense(4), (3,), 4, Optimizer("sgd", learning_rate=0.1)))
    batch = session.place(random_batch(session.architecture))
    assert float(plugin.train_step(session, batch)) > float(plugin.train_step(session, batch))


def test_the_plugins_module_imports_no_framework():
    code = "import sys, mlbench_jax.plugin; sys.exit(bool({'jax', 'flax', 'optax'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
