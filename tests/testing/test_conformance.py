"""The kit finds planted faults: copies of the reference, each wrong in one way, fail the test that should see it."""

from __future__ import annotations

import inspect
import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from attrs import evolve, frozen

from mlbench_core.architecture import Activation, BatchNorm, Flatten, Layer, LayerNorm, Residual, Sequential
from mlbench_core.errors import PluginError
from mlbench_core.record import MemoryReading
from mlbench_core.reference import plugin as reference
from mlbench_core.reference.layers import Flatten as FlattenModule
from mlbench_core.reference.layers import Gelu
from mlbench_core.reference.lowering import lower
from mlbench_core.reference.module import Array, At, Mode, Module
from mlbench_core.testing import cases
from mlbench_core.testing.conformance import FrameworkConformance
from mlbench_core.testing.driver import Driver
from mlbench_core.testing.mutations import copy_of
from mlbench_core.verify.samples import scattered_weights

copy = partial(copy_of, reference)
"""The reference as a plugin of its own, with some hooks changed."""


def run(plugin: ModuleType, test: str, *arguments: str) -> None:
    """One test of the kit against `plugin`; for a test of a layer the argument is the layer's name."""
    kit = type("Kit", (FrameworkConformance,), {"plugin": plugin})
    function = getattr(kit(), test)
    wanted = inspect.signature(function).parameters
    with ExitStack() as stack:
        given: list[Any] = [Driver(plugin)] if "driver" in wanted else []
        if "layer" in wanted:
            architecture = cases.LAYERS[arguments[0]]
            pair = kit.pair(Driver(plugin), architecture, scattered_weights(architecture))
            given.append(stack.enter_context(pair))
        else:
            given += arguments
        function(*given)


# Faults in the layers: the tree is rewritten before it is lowered, so the model is of another architecture than was asked.


def with_layers(rewrite: Callable[[Layer], Layer]) -> ModuleType:
    def rewritten(layer: Layer) -> Layer:
        if isinstance(layer, Sequential):
            return Sequential([(name, rewritten(child)) for name, child in layer.layers])
        if isinstance(layer, Residual):
            return Residual(rewritten(layer.body), layer.shortcut and rewritten(layer.shortcut))
        return rewrite(layer)

    def build_model(architecture: Any, plan: Any) -> Any:
        return reference.build_model(evolve(architecture, root=rewritten(architecture.root)), plan)

    return copy(build_model=build_model)


@frozen
class Approximate(Layer):
    """Gelu by its tanh approximation."""


class ApproximateModule(Gelu):
    def forward(self, x: Array, mode: Mode) -> Array:
        super().forward(x, mode)
        y: Array = x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
        return y


@frozen
class ChannelsFirst(Flatten):
    """Flatten in the order channels, height, width."""


class ChannelsFirstModule(FlattenModule):
    def forward(self, x: Array, mode: Mode) -> Array:
        return super().forward(np.ascontiguousarray(np.moveaxis(x, -1, 1)), mode)


@lower.register
def _(layer: Approximate, site: At) -> Module:
    return ApproximateModule()


@lower.register
def _(layer: ChannelsFirst, site: At) -> Module:
    return ChannelsFirstModule()


def layer_fault(kind: type[Layer], change: Callable[[Any], Layer]) -> ModuleType:
    return with_layers(lambda layer: change(layer) if isinstance(layer, kind) else layer)


# Faults in the hooks.


def transposed_kernels() -> ModuleType:
    """Kernels enter and leave with height and width swapped, so that reading them back looks right."""

    def swapped(weights: dict[str, Any]) -> dict[str, Any]:
        return {name: value.swapaxes(0, 1) if value.ndim == 4 else value for name, value in weights.items()}

    return copy(
        make_session=lambda model, weights, plan: reference.make_session(model, swapped(weights), plan),
        read_weights=lambda session: {
            k: np.ascontiguousarray(v) for k, v in swapped(reference.read_weights(session)).items()
        },
    )


def steps_so_far() -> Callable[[Any], int]:
    calls = itertools.count()
    return lambda session: next(calls)


def late() -> ModuleType:
    """The work is done when the loss is read, as an asynchronous framework does it whose `synchronize` returns at once."""

    def train_step(session: Any, batch: Any) -> Any:
        return lambda: reference.train_step(session, batch)

    return copy(
        train_step=train_step, to_numpy=lambda session, value: np.asarray(value() if callable(value) else value)
    )


def unbiased_variance() -> ModuleType:
    """What PyTorch keeps: n / (n - 1) times the batch's variance. Here for vectors, where n is the batch size."""

    def train_step(session: Any, batch: Any) -> Any:
        before = session.model.variables["layer.var"].value
        loss = reference.train_step(session, batch)
        after, n = session.model.variables["layer.var"], len(batch[1])
        after.value = 0.9 * before + (after.value - 0.9 * before) * n / (n - 1)
        return loss

    return copy(train_step=train_step)


def inference_in_training_mode() -> ModuleType:
    return copy(infer=lambda session, batch: session.model.root.forward(batch[0], session.mode(training=True)))


def gradients_that_update_statistics() -> ModuleType:
    def gradients(session: Any, batch: Any, cotangent: Any) -> Any:
        found = reference.gradients(session, batch, cotangent)
        session.model.root.forward(batch[0], session.mode(training=True))
        return found

    return copy(gradients=gradients)


def load_that_keeps_momentum() -> ModuleType:
    def load(session: Any, path: Path) -> Any:
        fresh = reference.load(session, path)
        for slot, kept in zip(fresh.optimizer.slots, session.optimizer.slots, strict=True):
            slot[-1][...] = kept[-1]
        return fresh

    return copy(load=load)


@contextmanager
def inference_mode_that_forgets(session: Any) -> Iterator[None]:
    for variable in session.model.variables.values():
        variable.value[...] = 0
    yield


def replanned(**changes: Callable[[Any], Any]) -> ModuleType:
    """Sessions of another plan than was asked for."""

    def make_session(model: Any, weights: Any, plan: Any) -> Any:
        return reference.make_session(model, weights, evolve(plan, **{k: f(plan) for k, f in changes.items()}))

    return copy(make_session=make_session)


def optimizer_with(**changes: Callable[[Any], Any]) -> ModuleType:
    return replanned(
        optimizer=lambda plan: evolve(plan.optimizer, **{k: f(plan.optimizer) for k, f in changes.items()})
    )


def float32_in_secret() -> ModuleType:
    return copy(
        make_session=lambda model, weights, plan: reference.make_session(
            model, weights, evolve(plan, precision="fp32")
        ),
        read_weights=lambda session: {k: v.astype(np.float64) for k, v in reference.read_weights(session).items()},
    )


def loss_summed_over_the_batch() -> ModuleType:
    def train_step(session: Any, batch: Any) -> Any:
        return reference.train_step(session, batch) * len(batch[1])

    return copy(train_step=train_step)


FAULTS = {
    "BatchNorm's epsilon is 1e-3": (
        layer_fault(BatchNorm, lambda layer: evolve(layer, epsilon=1e-3)),
        [("test_layer_forward", "batchnorm-image"), ("test_layer_gradients", "batchnorm-vector")],
    ),
    "BatchNorm's momentum is 0.99": (
        layer_fault(BatchNorm, lambda layer: evolve(layer, momentum=0.99)),
        [("test_running_statistics", "batchnorm-image"), ("test_lock_step", "resnet", "sgd")],
    ),
    "LayerNorm's epsilon is 1e-5": (
        layer_fault(LayerNorm, lambda layer: evolve(layer, epsilon=1e-5)),
        [("test_layer_forward", "layernorm-sequence"), ("test_model_gradients_of_the_loss", "bert")],
    ),
    "gelu is the tanh approximation": (
        layer_fault(Activation, lambda layer: Approximate() if layer.function == "gelu" else layer),
        [("test_layer_forward", "gelu")],
    ),
    "Flatten is channels first": (
        layer_fault(Flatten, lambda layer: ChannelsFirst()),
        [("test_layer_forward", "flatten"), ("test_layer_forward", "conv-3x3")],
    ),
    "kernels are transposed": (
        transposed_kernels(),
        [("test_layer_forward", "conv-3x3"), ("test_layer_gradients", "conv-groups")],
    ),
    "the running variance is unbiased": (unbiased_variance(), [("test_running_statistics", "batchnorm-vector")]),
    "inference runs in training mode": (
        inference_in_training_mode(),
        [
            ("test_evaluation_does_not_depend_on_the_batch", "batchnorm-vector"),
            ("test_evaluation_does_not_depend_on_the_batch", "dropout"),
            ("test_layer_forward", "batchnorm-image"),
        ],
    ),
    "gradients() updates running statistics": (
        gradients_that_update_statistics(),
        [("test_gradients_change_nothing",)],
    ),
    "load keeps the momentum": (load_that_keeps_momentum(), [("test_save_and_load", "resnet")]),
    "inference_mode forgets the weights": (
        copy(inference_mode=inference_mode_that_forgets),
        [("test_inference_mode",)],
    ),
    "the learning rate is a float32": (
        optimizer_with(learning_rate=lambda rule: float(np.float32(rule.learning_rate))),
        [("test_lock_step", "mlp", "sgd"), ("test_lock_step", "bert", "adamw")],
    ),
    "adamw's epsilon is 1e-7": (optimizer_with(epsilon=lambda rule: 1e-7), [("test_lock_step", "mlp", "adamw")]),
    "adamw does not decay": (optimizer_with(weight_decay=lambda rule: 0.0), [("test_lock_step", "mlp", "adamw")]),
    "float64 is float32 in secret": (
        float32_in_secret(),
        [("test_layer_forward", "dense"), ("test_lock_step", "mlp", "sgd")],
    ),
    "the loss is a sum": (loss_summed_over_the_batch(), [("test_infer_and_train_alternate",)]),
    "dropout does nothing": (
        copy(build_model=lambda architecture, plan: reference.build_model(architecture.without_dropout(), plan)),
        [("test_dropout_drops",), ("test_seed_decides",)],
    ),
    "the seed is ignored": (replanned(seed=lambda plan: 0), [("test_seed_decides",)]),
    "an unknown counter is 0": (
        copy(memory_probe=lambda session: [MemoryReading("pool", 0)]),
        [("test_memory_and_knobs",)],
    ),
    "memory is counted in MiB": (
        copy(memory_probe=lambda session: [MemoryReading("pool", 4)]),
        [("test_memory_and_knobs",)],
    ),
    "synchronize does not wait": (late(), [("test_synchronize_waits",)]),
    "compilations count steps": (copy(compilations=steps_so_far()), [("test_compilations_are_counted",)]),
    "a parameter is left out": (
        copy(read_weights=lambda session: dict(list(reference.read_weights(session).items())[1:])),
        [("test_layer_parameters", "dense")],
    ),
    "a required hook is missing": (
        ModuleType("empty"),
        [("test_required_hooks_are_there",)],
    ),
}


@pytest.mark.parametrize(("fault", "found_by"), [(name, call) for name, (_, calls) in FAULTS.items() for call in calls])
def test_a_fault_is_found(fault: str, found_by: tuple[str, ...], tmp_path: Path) -> None:
    plugin, _ = FAULTS[fault]
    arguments = (tmp_path, *found_by[1:]) if found_by[0] == "test_save_and_load" else found_by[1:]
    run(copy(), found_by[0], *arguments)  # a copy without a fault passes the very same test
    with pytest.raises(AssertionError):
        run(plugin, found_by[0], *arguments)


def test_a_misspelt_parameter_or_hook_is_refused() -> None:
    with pytest.raises(PluginError, match="batches"):
        Driver(copy(infer=lambda session, batches: None))
    with pytest.raises(PluginError, match="train_steps"):
        Driver(copy(train_steps=lambda session, batch: None))


def test_a_right_inference_mode_passes() -> None:
    run(copy(inference_mode=lambda session: nullcontext()), "test_inference_mode")


def test_hooks_and_precisions_that_are_not_offered_are_skipped() -> None:
    poor = copy(framework_info=lambda: evolve(reference.framework_info(), precisions=("fp32",)))
    del poor.gradients
    with pytest.raises(pytest.skip.Exception, match="does not offer fp64"):
        run(poor, "test_lock_step", "mlp", "sgd")
    with pytest.raises(pytest.skip.Exception, match="does not implement gradients"):
        run(poor, "test_gradients_change_nothing")
    run(poor, "test_logits_in_float32", "mlp")


AUTHORS_FILE = """
import os
from types import ModuleType

from attrs import evolve
from mlbench_core.architecture import BatchNorm, Sequential
from mlbench_core.hookspecs import hookimpl
from mlbench_core.reference import plugin as reference
from mlbench_core.testing.conformance import FrameworkConformance

@hookimpl
def worker_environment(plan):
    assert plan.precision == "fp64"
    return {"MLBENCH_TEST_KNOB": "set"}

@hookimpl
def framework_info():
    assert os.environ["MLBENCH_TEST_KNOB"] == "set"
    return reference.framework_info()

@hookimpl
def build_model(architecture, plan):
    layers = [
        (name, evolve(layer, epsilon=1e-3) if isinstance(layer, BatchNorm) else layer)
        for name, layer in architecture.root.layers
    ]
    return reference.build_model(evolve(architecture, root=Sequential(layers)), plan)

right, wrong = ModuleType("right"), ModuleType("wrong")
for module in (right, wrong):
    vars(module).update({name: value for name, value in vars(reference).items() if hasattr(value, "mlbench_impl")})
    vars(module).update(worker_environment=worker_environment, framework_info=framework_info)
wrong.build_model = build_model

class TestRight(FrameworkConformance):
    plugin = right
    without = frozenset({"inference_mode"})

class TestWrong(FrameworkConformance):
    plugin = wrong
    without = frozenset({"inference_mode"})
"""


@pytest.mark.long
def test_the_kit_as_an_author_runs_it(tmp_path: Path) -> None:
    file = tmp_path / "test_plugin.py"
    file.write_text(AUTHORS_FILE)
    command = [sys.executable, "-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider", "-W", "error", str(file)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    failed = {line.split("::", 1)[1].split(" ")[0] for line in done.stdout.splitlines() if line.startswith("FAILED")}
    assert done.returncode == 1, done.stdout + done.stderr
    assert failed, done.stdout
    assert {name.split("::")[0] for name in failed} == {"TestWrong"}
    assert "TestWrong::test_layer_forward[batchnorm-image]" in failed
    assert "TestWrong::test_lock_step[resnet-sgd]" in failed
    # Nothing without a BatchNorm is blamed.
    assert not [name for name in failed if any(word in name for word in ("mlp", "bert", "conv", "dense", "norm-l"))]
    assert "error" not in done.stdout.splitlines()[-1], done.stdout
