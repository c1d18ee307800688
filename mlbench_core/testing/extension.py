"""The kit for what a third party relies on: layers of its own, and errors that name what is wrong. Subclass `Extension`.

In your plugin's tests::

    class TestExtension(Extension):
        plugin = my_plugin.plugin
        lowering = my_plugin.lowering
        imports = frozenset({"my_framework"})

        @staticmethod
        def mix(layer, site): ...  # your lowering of Mix
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
from attrs import evolve, frozen

from mlbench_core.architecture import (
    Architecture,
    Constant,
    Dense,
    Dropout,
    Layer,
    Loss,
    Optimizer,
    Parameter,
    Sequential,
    Shape,
    UpdateRule,
    Weights,
    initial_weights,
)
from mlbench_core.errors import PluginError, UnsupportedError
from mlbench_core.models.mlp import mlp
from mlbench_core.testing import cases
from mlbench_core.testing.driver import Driver
from mlbench_core.trial import Plan
from mlbench_core.verify.twin import Twin

EXACT = 1e-12
"""Two float64 products of four terms each, against NumPy's."""
CHAINED = 1e-10
"""Ten such products in a row, each of three terms that may cancel."""
STEP, SLOPE = 1e-6, 1e-8
"""A central difference over STEP is off by rounding, 1e-16 / STEP, and by the third derivative times STEP squared."""
MLP = mlp((3,), 2, hidden=(4,))


@frozen
class Unheard(Layer):
    """A layer that nobody lowers."""


@frozen(kw_only=True)
class UnheardRule(UpdateRule):
    """A rule that nobody has."""


@frozen(kw_only=True)
class UnheardLoss(Loss):
    """A loss that nobody has."""


@frozen
class Mix(Layer):
    """x @ kernel.T, so that the framework's layout is not the tree's."""

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        return (Parameter("kernel", (shape[-1], shape[-1]), Constant(0.5)),)


@frozen
class Forgetful(Mix):
    """A layer whose lowering binds nothing."""


def around(layer: Layer) -> Architecture:
    """The layer, at the path `own`, behind a Dense, at `first`."""
    root = Sequential({"first": Dense(4), "own": layer})
    return Architecture(
        name="own", root=root, input_shape=(3,), num_classes=4, optimizer=Optimizer(name="sgd", learning_rate=0.1)
    )


class Extension:
    """Subclass it and set what the module's docstring names.

    imports: the modules that importing the plugin must not import. mix: lowers Mix at a site, with a kernel bound by axes
    (1, 0) where the framework's layout is (in, out).
    """

    plugin: ClassVar[Any]
    lowering: ClassVar[ModuleType]
    imports: ClassVar[frozenset[str]]

    @staticmethod
    def mix(layer: Mix, site: Any) -> Any:
        """The native layer of `layer`."""
        raise NotImplementedError

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _registered(cls) -> None:
        cls.lowering.lower.register(Mix, cls.mix)
        cls.lowering.lower.register(Forgetful, lambda _layer, site: cls.lowering.lower(Dropout(0.0), site))

    @contextmanager
    def session(self, architecture: Architecture, weights: Weights | None = None) -> Iterator[Twin]:
        """A session in float64."""
        driver = Driver(self.plugin)
        plan = Plan(
            device="cpu",
            precision="fp64",
            execution=driver.info.default_execution,
            batch_size=6,
            optimizer=architecture.optimizer,
            loss=architecture.loss,
            threads=2,
            seed=0,
            task="train",
        )
        with driver.session(architecture, weights or initial_weights(architecture, 0), plan) as twin:
            yield twin

    def test_the_plugins_module_imports_light(self) -> None:
        code = (
            "import sys, importlib; from mlbench_core.architecture import Optimizer; from mlbench_core.trial import Plan\n"
            f"plugin = importlib.import_module({self.plugin.__name__!r})\n"
            "plan = Plan(device='cpu', precision='fp64', execution='default', batch_size=1, threads=1, seed=0,\n"
            "            optimizer=Optimizer(name='sgd', learning_rate=0.1), task='train')\n"
            "getattr(plugin, 'worker_environment', lambda plan: None)(plan)\n"
            f"sys.exit(' '.join({set(self.imports)!r} & set(sys.modules)) or None)"
        )
        done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def test_an_unheard_layer_is_refused_with_its_path(self) -> None:
        with (
            pytest.raises(UnsupportedError, match=r"Unheard \(at own\).*lower\.register"),
            self.session(around(Unheard())),
        ):
            pass

    def test_an_unheard_optimizer_is_refused(self) -> None:
        strange = evolve(MLP, optimizer=UnheardRule(name="strange", learning_rate=0.1))
        with (
            pytest.raises(UnsupportedError, match=r"UnheardRule.*make_optimizer\.register.*OptimizerSource\.lowerings"),
            self.session(strange),
        ):
            pass

    def test_an_unheard_loss_is_refused(self) -> None:
        strange = evolve(MLP, loss=UnheardLoss(name="strange"))
        with (
            pytest.raises(UnsupportedError, match=r"UnheardLoss.*make_loss\.register.*LossSource\.lowerings"),
            self.session(strange),
        ):
            pass

    def test_a_parameter_that_nobody_bound_is_named(self) -> None:
        with pytest.raises(PluginError, match=r"missing \['own.kernel'\]"), self.session(around(Forgetful())):
            pass

    def test_a_third_partys_layer_with_another_layout(self) -> None:
        architecture = around(Mix())
        kernel = np.arange(16, dtype=np.float32).reshape(4, 4)
        weights: Weights = {**initial_weights(architecture, 0), "own.kernel": kernel}
        batch, cotangent = cases.random_batch(architecture), np.random.default_rng(0).standard_normal((6, 4))
        hidden = batch.x.astype(np.float64) @ weights["first.kernel"] + weights["first.bias"]
        with self.session(architecture, weights) as twin:
            np.testing.assert_allclose(twin.infer(batch), hidden @ kernel.T, rtol=EXACT)
            np.testing.assert_array_equal(twin.weights()["own.kernel"], kernel)
            found = twin.gradients(batch, cotangent).parameters["own.kernel"]
            np.testing.assert_allclose(found, cotangent.T @ hidden, rtol=EXACT)

    def test_a_layer_may_have_any_name(self) -> None:
        """Also one that a framework's own classes use, and one that is another's path with a different separator."""
        names = ("double", "training", "forward", "call", "weights", "layers", "name", "self", "a_b")
        root = Sequential({"a": Sequential({"b": Dense(3)}), **{name: Dense(3) for name in names}})
        rule = Optimizer(name="sgd", learning_rate=0.1)
        architecture = Architecture(name="named", root=root, input_shape=(3,), num_classes=3, optimizer=rule)
        batch, weights = cases.random_batch(architecture), initial_weights(architecture, 0)
        with self.session(architecture, weights) as twin:
            found, read = twin.infer(batch), twin.weights()
        expected = batch.x.astype(np.float64)
        for path in ("a.b", *names):
            expected = expected @ weights[f"{path}.kernel"] + weights[f"{path}.bias"]
        np.testing.assert_allclose(found, expected, rtol=CHAINED)
        assert set(read) == set(weights)

    def test_wrong_weights_are_named(self) -> None:
        weights = initial_weights(MLP, 0)
        bias = weights.pop("head.bias")
        for wrong, named in (
            (weights, r"missing \['head.bias'\]"),
            ({**weights, "head.bias": bias, "extra": bias}, r"unknown \['extra'\]"),
            ({**weights, "head.bias": bias[:-1]}, r"head\.bias .*\(1,\)"),
        ):
            with pytest.raises(PluginError, match=named), self.session(MLP, wrong):
                pass

    def test_gradients_are_the_losss_slopes(self) -> None:
        batch = cases.random_batch(MLP)
        weights: Weights = {name: value.astype(np.float64) for name, value in initial_weights(MLP, 0).items()}

        def loss(moved: Weights) -> float:
            with self.session(MLP, moved) as twin:
                found = twin.gradients(batch).loss
            assert found is not None
            return found

        with self.session(MLP, weights) as twin:
            exact = twin.gradients(batch).parameters
        for name in ("dense1.kernel", "dense1.bias", "head.bias"):
            slopes = np.zeros_like(weights[name])
            for index in np.ndindex(slopes.shape):
                shift = np.zeros_like(slopes)
                shift[index] = STEP
                above, below = (loss({**weights, name: weights[name] + sign * shift}) for sign in (1, -1))
                slopes[index] = (above - below) / (2 * STEP)
            np.testing.assert_allclose(exact[name], slopes, rtol=0, atol=SLOPE, err_msg=name)
