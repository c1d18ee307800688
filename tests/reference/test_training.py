"""The reference's loss, optimisers and sessions, against values computed by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import evolve, frozen

from mlbench_core.architecture import (
    Architecture,
    Dense,
    Embedding,
    Flatten,
    Layer,
    Optimizer,
    Parameter,
    Sequential,
    Shape,
    initial_weights,
)
from mlbench_core.architecture.layers import ONES
from mlbench_core.errors import PluginError, UnsupportedError
from mlbench_core.hookspecs import Batch
from mlbench_core.reference import plugin
from mlbench_core.reference.losses import cross_entropy
from mlbench_core.reference.lowering import lower
from mlbench_core.reference.module import Array, At, Mode, Module, Variable, variables
from mlbench_core.reference.optimizers import RULES
from mlbench_core.testing import cases
from mlbench_core.trial import Plan


def plan_for(architecture: Architecture, **changes: Any) -> Plan:
    return evolve(
        Plan(
            device="cpu",
            precision="fp64",
            execution="eager",
            batch_size=6,
            optimizer=architecture.optimizer,
            threads=1,
            seed=0,
            task="train",
        ),
        **changes,
    )


def session_for(architecture: Architecture) -> Any:
    plan = plan_for(architecture)
    return plugin.make_session(plugin.build_model(architecture, plan), initial_weights(architecture, 0), plan)


def test_cross_entropy_by_hand() -> None:
    # Softmax of (0, ln 3) is (1/4, 3/4), of (5, 5) it is (1/2, 1/2): the loss is (ln 4 + ln 2) / 2.
    logits = np.array([[0.0, math.log(3)], [5.0, 5.0]])
    loss, gradient = cross_entropy(logits, np.array([0, 1], np.int32))
    assert loss == pytest.approx(1.5 * math.log(2), rel=1e-15)
    assert gradient == pytest.approx(np.array([[-3 / 8, 3 / 8], [1 / 4, -1 / 4]]), rel=1e-15)


def test_cross_entropy_of_large_logits_is_finite() -> None:
    loss, gradient = cross_entropy(np.array([[1e4, -1e4]]), np.array([1], np.int32))
    assert loss == 2e4
    assert gradient.tolist() == [[1, -1]]


def test_cross_entropy_gradient_matches_differences() -> None:
    generator = np.random.default_rng(0)
    logits, labels = generator.standard_normal((4, 3)), np.array([0, 2, 1, 1], np.int32)
    direction = generator.standard_normal((4, 3))
    _, gradient = cross_entropy(logits, labels)
    step = 1e-6
    difference = (
        cross_entropy(logits + step * direction, labels)[0] - cross_entropy(logits - step * direction, labels)[0]
    )
    assert difference / (2 * step) == pytest.approx(np.sum(gradient * direction), rel=1e-8)


def stepped(rule: Optimizer, shape: Shape, value: float, gradients: list[float]) -> float:
    """The first element after one step per gradient, every element of which is that number."""
    variable = Variable(shape, value=np.full(shape, value))
    optimizer = RULES[rule.name](rule, [(Parameter("p", shape, ONES), variable)])
    for gradient in gradients:
        variable.grad = np.full(shape, gradient)
        optimizer.step()
    return float(variable.value.flat[0])


def test_sgd_by_hand() -> None:
    # Buffers: 2, then 0.5 * 2 + 4 = 5; the parameter: 1 - 0.1 * 2 - 0.1 * 5.
    rule = Optimizer(name="sgd", learning_rate=0.1, momentum=0.5)
    assert stepped(rule, (2,), 1.0, [2.0, 4.0]) == pytest.approx(0.3, rel=1e-15)


def test_adamw_by_hand() -> None:
    rule = Optimizer(name="adamw", learning_rate=0.1, beta1=0.5, beta2=0.75, epsilon=0.5, weight_decay=0.2)
    # Step 1, gradient 2: m = 1, v = 1, m_hat = 2, v_hat = 4, so 2 / (2 + 0.5) = 0.8; a vector does not decay.
    assert stepped(rule, (2,), 1.0, [2.0]) == pytest.approx(1 - 0.1 * 0.8, rel=1e-15)
    # A matrix does: 0.2 * 1 is added.
    after_one = 1 - 0.1 * (0.8 + 0.2)
    assert stepped(rule, (2, 2), 1.0, [2.0]) == pytest.approx(after_one, rel=1e-15)
    # Step 2, gradient -4: m = 0.5 - 2 = -1.5, m_hat = -1.5 / 0.75 = -2; v = 0.75 + 4 = 4.75, v_hat = 4.75 / 0.4375.
    update = -2 / (math.sqrt(4.75 / 0.4375) + 0.5) + 0.2 * after_one
    assert stepped(rule, (2, 2), 1.0, [2.0, -4.0]) == pytest.approx(after_one - 0.1 * update, rel=1e-15)


def test_loss_falls() -> None:
    for name in ("mlp", "resnet", "bert"):
        architecture = cases.MODELS[name]
        session = session_for(architecture)
        batch = plugin.place_batch(session, cases.random_batch(architecture))
        losses = [float(plugin.train_step(session, batch)) for _ in range(20)]
        assert losses[-1] < 0.95 * losses[0], name


def test_gradients_leave_statistics_and_dropout_as_they_were() -> None:
    for name in ("resnet", "bert"):
        architecture = cases.MODELS[name]
        losses = []
        for asked in (False, True):
            session = session_for(architecture)
            batch = plugin.place_batch(session, cases.random_batch(architecture))
            if asked:
                plugin.gradients(session, batch, None)
            losses.append([plugin.train_step(session, batch) for _ in range(2)])
        assert losses[0] == losses[1]


@pytest.mark.parametrize("change", [{"precision": "bf16"}, {"execution": "compiled"}, {"device": "cuda:0"}])
def test_what_it_does_not_offer_is_refused(change: dict[str, str]) -> None:
    architecture = cases.MODELS["mlp"]
    with pytest.raises(UnsupportedError, match=f"has no {next(iter(change))} "):
        plugin.build_model(architecture, plan_for(architecture, **change))


def test_weights_that_do_not_fit_are_refused() -> None:
    architecture = cases.MODELS["mlp"]
    plan = plan_for(architecture)
    weights = initial_weights(architecture, 0)
    model = plugin.build_model(architecture, plan)
    with pytest.raises(PluginError, match=r"missing \['head.bias'\], unknown \['tail'\]"):
        plugin.make_session(model, {("tail" if k == "head.bias" else k): v for k, v in weights.items()}, plan)
    with pytest.raises(PluginError, match=r"head.bias has shape \(4,\), its weights have \(5,\)"):
        plugin.make_session(model, {**weights, "head.bias": np.zeros(5, np.float32)}, plan)


def test_a_saved_archive_holds_the_weights_and_needs_no_pickle(tmp_path: Path) -> None:
    session = session_for(cases.MODELS["mlp"])
    path = plugin.save(session, tmp_path / "mlp.fp64")
    assert path.name == "mlp.fp64.npz"
    with np.load(path, allow_pickle=False) as archive:
        assert set(archive) == set(plugin.read_weights(session))


def test_knobs_name_the_blas() -> None:
    assert plugin.read_knobs(session_for(cases.MODELS["mlp"]))["blas"]


@frozen
class Scale(Layer):
    """A layer of somebody else's: y = x * scale."""

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        return (Parameter("scale", shape[-1:], ONES),)


class ScaleModule(Module):
    def __init__(self, scale: Variable) -> None:
        self.scale = scale

    def forward(self, x: Array, mode: Mode) -> Array:
        self.x = x
        return x * self.scale.value

    def backward(self, dy: Array) -> Array:
        self.scale.grad = (dy * self.x).sum(tuple(range(dy.ndim - 1)))
        return dy * self.scale.value


def test_a_third_party_lowers_its_own_layer() -> None:
    root = Sequential({"tokens": Embedding(5, 3), "scale": Scale(), "flatten": Flatten(), "head": Dense(2)})
    architecture = Architecture(
        name="scaled",
        root=root,
        input_shape=(4,),
        num_classes=2,
        optimizer=Optimizer(name="sgd", learning_rate=0.1),
        input_kind="tokens",
    )
    with pytest.raises(UnsupportedError, match=r"no lowering for Scale \(at scale\)"):
        session_for(architecture)

    @lower.register
    def _(layer: Scale, site: At) -> Module:
        return ScaleModule(**variables(layer, site))

    session = session_for(architecture)
    ids = np.array([[0, 1, 2, 3]], np.int32)
    plugin.train_step(session, plugin.place_batch(session, Batch(ids, np.array([1], np.int32))))
    assert not np.array_equal(plugin.read_weights(session)["scale.scale"], np.ones(3))
