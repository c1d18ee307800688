"""A model with a hand-written build for a framework: it is that build which is verified, as far as its bindings allow."""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from attrs import evolve

from mlbench_core.architecture import Activation, Architecture, Dense, Optimizer, Residual, Sequential
from mlbench_core.errors import PluginError
from mlbench_core.plugins import Framework, build_model
from mlbench_core.reference import layers, plugin
from mlbench_core.reference.module import Module, Variable
from mlbench_core.reference.training import Model
from mlbench_core.testing.mutations import copy_of
from mlbench_core.trial import ModelSource, Plan
from mlbench_core.verify.ladder import parity_of
from mlbench_core.verify.rungs import ParityResult
from mlbench_core.verify.subject import Subject
from mlbench_core.worker.failure import failure_of

BLOCK = Residual(Sequential({"dense": Dense(9), "relu": Activation("relu")}))
NET = Architecture(
    name="net",
    root=Sequential({"one": BLOCK, "two": BLOCK, "head": Dense(4)}),
    input_shape=(9,),
    num_classes=4,
    optimizer=Optimizer(name="sgd", learning_rate=2**-5),
)
Build = Callable[[Architecture, Plan], Model | None]


def by_hand(architecture: Architecture, plan: Plan, activation: Callable[[], Module] = layers.Relu) -> Model:
    """NET, written without looking at its tree."""
    shapes = {"one.body.dense": (9, 9), "two.body.dense": (9, 9), "head": (9, 4)}
    variables = {f"{name}.kernel": Variable(shape) for name, shape in shapes.items()}
    variables |= {f"{name}.bias": Variable(shape[1:]) for name, shape in shapes.items()}
    dense = {name: layers.Dense(variables[f"{name}.kernel"], variables[f"{name}.bias"]) for name in shapes}
    blocks = [
        layers.Residual(layers.Sequential([dense[f"{name}.body.dense"], activation()]), None) for name in ("one", "two")
    ]
    return Model(architecture, layers.Sequential([*blocks, dense["head"]]), variables)


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Build], ParityResult]:
    """Climbs with NET in a copy of the reference, `build` being NET's own build for it."""

    def run(build: Build) -> ParityResult:
        module: Any = ModuleType("mlbench_test_native")
        module.build = build
        monkeypatch.setitem(sys.modules, module.__name__, module)
        framework = Framework(copy_of(plugin), "the copy", "copy")
        source = ModelSource("", native={"copy": "mlbench_test_native:build"})
        subject = Subject(
            framework=framework, info=framework.framework_info(), device="cpu", threads=1, seed=0, source=source
        )
        return parity_of(subject, "net", NET, (("fp32", "default"),))

    return run


def numbers(result: ParityResult) -> list[int]:
    return [rung.number for rung in result.rungs]


def reason(result: ParityResult) -> str:
    failure = result.first_failure()
    assert failure is not None
    return failure.describe()


def test_a_native_build_that_is_the_architecture_is_verified(checked: Callable[[Build], ParityResult]) -> None:
    asked = []

    def build(architecture: Architecture, plan: Plan) -> Model:
        asked.append(architecture)
        return by_hand(architecture, plan)

    found = checked(build)
    assert found.verdict == "verified", reason(found)
    assert numbers(found) == [1, 2, 4, 4, 5, 6, 6, 7]  # no layers to take apart
    # NET has two equal blocks, and the hand-written model knows no variant with one.
    assert {architecture.root for architecture in asked} == {NET.root}


def test_a_native_build_that_computes_something_else_fails(checked: Callable[[Build], ParityResult]) -> None:
    found = checked(lambda architecture, plan: by_hand(architecture, plan, layers.Tanh))
    assert found.verdict == "failed"
    assert reason(found).startswith("rung 4, forward, fp64")


def test_a_native_build_without_a_mapping_is_unverified_and_says_why(checked: Callable[[Build], ParityResult]) -> None:
    def build(architecture: Architecture, plan: Plan) -> Model:
        model = by_hand(architecture, plan)
        return evolve(model, variables={name.replace("head", "fc"): v for name, v in model.variables.items()})

    found = checked(build)
    assert found.verdict == "unverified"
    assert "cannot be compared with the architecture" in reason(found)
    assert "missing ['head.bias', 'head.kernel'], unknown ['fc.bias', 'fc.kernel']" in reason(found)


def test_a_native_build_with_other_shapes_is_unverified_and_says_why(checked: Callable[[Build], ParityResult]) -> None:
    def build(architecture: Architecture, plan: Plan) -> Model:
        model = by_hand(architecture, plan)
        return evolve(model, variables={**model.variables, "head.bias": Variable((5,))})

    found = checked(build)
    assert found.verdict == "unverified"
    assert "head.bias" in reason(found)


def test_what_the_native_build_leaves_is_lowered_and_verified(checked: Callable[[Build], ParityResult]) -> None:
    found = checked(lambda architecture, plan: None)
    assert found.verdict == "verified", reason(found)
    assert numbers(found) == [1, 2, 3, 4, 4, 5, 6, 6, 7]


def test_a_native_build_for_one_precision_only_is_unverified(checked: Callable[[Build], ParityResult]) -> None:
    """In float64 the lowering would be verified, and in float32 the native build would run."""
    found = checked(lambda architecture, plan: by_hand(architecture, plan) if plan.precision == "fp32" else None)
    assert found.verdict == "unverified"
    assert "leaves fp64 to the lowering" in reason(found)


def test_a_native_build_that_raises_is_named_by_its_import_string(checked: Callable[[Build], ParityResult]) -> None:
    def build(architecture: Architecture, plan: Plan) -> Model:
        raise KeyError("no such layer")

    found = checked(build)
    assert found.verdict == "unverified"
    assert "the model's native build 'mlbench_test_native:build' raised KeyError: 'no such layer'" in reason(found)


def test_a_native_build_that_runs_out_of_memory_is_known_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is called by does not hide what it was."""

    def build(architecture: Architecture, plan: Plan) -> Model:
        raise MemoryError

    module: Any = ModuleType("mlbench_test_native")
    module.build = build
    monkeypatch.setitem(sys.modules, module.__name__, module)
    source = ModelSource("", native={"copy": "mlbench_test_native:build"})
    plan: Any = None
    with pytest.raises(PluginError) as caught:
        build_model(Framework(copy_of(plugin), "the copy", "copy"), source, NET, plan)
    assert failure_of(caught.value, "cpu", "setup")["status"] == "out-of-memory"
