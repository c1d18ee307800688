"""A layer that the vocabulary lacks: refused with its path, or lowered by a third party in a few lines."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from attrs import frozen

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
from mlbench_tf import training
from mlbench_tf.lowering import KerasSite, Lowered, lower


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


@lower.register
def _(layer: Mix, site: KerasSite) -> Lowered:
    native = site.built(keras.layers.Dense(site.shape[-1], use_bias=False, dtype=site.policy))
    site.bind("kernel", native.kernel, axes=(1, 0))
    return native


@lower.register
def _(layer: Forgetful, site: KerasSite) -> Lowered:
    return lambda x: x


def around(layer: Layer) -> Architecture:
    root = Sequential({"first": Dense(4), "own": layer})
    return Architecture("own", root, (3,), 4, Optimizer("sgd", learning_rate=0.1))


def session_of(architecture: Architecture, weights=None) -> training.Session:
    plan = Plan("cpu", "fp64", "graph", 6, architecture.optimizer, 2, 0, "train")
    model = training.build_model(architecture, plan)
    return training.make_session(model, weights or initial_weights(architecture, 0), plan)


def test_an_unknown_layer_is_refused_with_its_path():
    with pytest.raises(UnsupportedError, match=r"Unknown \(at own\).*lower\.register"):
        session_of(around(Unknown()))


def test_a_parameter_that_nobody_bound_is_named():
    with pytest.raises(PluginError, match=r"missing \['own.kernel'\]"):
        session_of(around(Forgetful()))


def test_a_third_partys_layer_with_another_layout():
    architecture = around(Mix())
    kernel = np.arange(16, dtype=np.float32).reshape(4, 4)
    weights = {**initial_weights(architecture, 0), "own.kernel": kernel}
    session, batch = session_of(architecture, weights), random_batch(architecture)
    placed = training.place_batch(session, batch)
    hidden = batch.x.astype(np.float64) @ weights["first.kernel"] + weights["first.bias"]
    np.testing.assert_allclose(training.to_numpy(session.predict(placed[0])), hidden @ kernel.T, rtol=1e-12)
    np.testing.assert_array_equal(training.read_weights(session)["own.kernel"], kernel)
    cotangent = np.random.default_rng(0).standard_normal((6, 4))
    found = training.gradients(session, placed, cotangent).parameters["own.kernel"]
    np.testing.assert_allclose(found, cotangent.T @ hidden, rtol=1e-12)


def test_the_plugins_module_imports_no_framework():
    code = (
        "import sys, mlbench_tf.plugin as p; p.worker_environment(None);"
        "sys.exit(bool({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
