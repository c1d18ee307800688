"""A model written by hand in PyTorch, next to its architecture: the parity ladder compares it as a whole."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from torch import Tensor, nn

import mlbench_torch.plugin
from mlbench_core.architecture import Architecture, Binding
from mlbench_core.plugins import Framework
from mlbench_core.testing.mutations import MLP
from mlbench_core.trial import ModelSource, Plan
from mlbench_core.verify.ladder import parity_of
from mlbench_core.verify.rungs import ParityResult
from mlbench_core.verify.subject import Subject
from mlbench_torch.lowering import TRANSPOSED, Model


class ByHand(nn.Module):
    """MLP, as one would write it."""

    def __init__(self, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(9, 8), nn.Linear(8, 8), nn.Linear(8, 4)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.fc3(self.activation(self.fc2(self.activation(self.fc1(x)))))


def by_hand(architecture: Architecture, activation: Callable[[Tensor], Tensor]) -> Model:
    module = ByHand(activation)
    bindings: dict[str, Binding[Tensor]] = {}
    for name, linear in (("dense1", module.fc1), ("dense2", module.fc2), ("head", module.fc3)):
        bindings |= {f"{name}.kernel": Binding(linear.weight, TRANSPOSED), f"{name}.bias": Binding(linear.bias)}
    return Model(architecture, module, bindings)


def checked(patch: pytest.MonkeyPatch, build: Callable[[Architecture, Plan], Any]) -> ParityResult:
    module: Any = ModuleType("mlbench_test_native")
    module.build = build
    patch.setitem(sys.modules, module.__name__, module)
    framework = Framework(mlbench_torch.plugin, "pytorch", "pytorch")
    source = ModelSource("", native={"pytorch": "mlbench_test_native:build"})
    subject = Subject(
        framework=framework, info=framework.framework_info(), device="cpu", threads=1, seed=0, source=source
    )
    return parity_of(subject, "mlp", MLP, (("fp32", "default"),))


def test_one_that_is_the_architecture_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    found = checked(monkeypatch, lambda architecture, plan: by_hand(architecture, nn.functional.relu))
    assert found.verdict == "verified", found.first_failure()
    assert "layers" not in {rung.name for rung in found.rungs}


def test_one_that_computes_something_else_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    found = checked(monkeypatch, lambda architecture, plan: by_hand(architecture, nn.functional.gelu))
    assert found.verdict == "failed"
    assert found.rungs[-1].name == "forward, fp64"


def test_one_whose_bindings_do_not_fit_is_unverified(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(architecture: Architecture, plan: Plan) -> Model:
        model = by_hand(architecture, nn.functional.relu)
        del model.bindings["head.bias"]
        return model

    found = checked(monkeypatch, build)
    assert found.verdict == "unverified"
    assert "missing ['head.bias']" in found.rungs[0].describe()
