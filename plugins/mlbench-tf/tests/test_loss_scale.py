"""The scale of a float16 loss: what overflows is skipped, what does not is exact, and how the scale moves."""

import numpy as np
import pytest
from attrs import evolve

from mlbench_core.architecture import Architecture, Optimizer, initial_weights
from mlbench_core.hookspecs import Batch
from mlbench_core.models.mlp import mlp
from mlbench_core.testing.cases import random_batch
from mlbench_core.trial import Plan
from mlbench_tf import loss_scale, settings, training

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

RULES = {
    "sgd": Optimizer(name="sgd", learning_rate=0.1, momentum=0.9),
    "adamw": Optimizer(name="adamw", learning_rate=0.01, weight_decay=0.1),
}
EVERY = [(execution, rule) for execution in settings.EXECUTIONS for rule in RULES]


def small(rule: str) -> Architecture:
    return evolve(mlp((9,), 4, hidden=(16,)), optimizer=RULES[rule])


def start(architecture: Architecture, execution: str = "graph", precision: str = "fp16") -> training.Session:
    plan = Plan(
        device="cpu",
        precision=precision,
        execution=execution,
        batch_size=8,
        optimizer=architecture.optimizer,
        threads=2,
        seed=0,
        task="train",
    )
    return training.make_session(training.build_model(architecture, plan), initial_weights(architecture, 0), plan)


def train(session: training.Session, batch: Batch, steps: int = 1) -> list[float]:
    placed = training.place_batch(session, batch)
    return [float(training.to_numpy(session.step(*placed))) for _ in range(steps)]


def state(session: training.Session) -> list[np.ndarray]:
    """Weights, then all that the optimiser remembers."""
    optimizer = session.optimizer
    slots = [one.numpy() for slot in optimizer.slots for one in slot[1:3] if hasattr(one, "numpy")]
    powers = [optimizer.powers.numpy()] if hasattr(optimizer, "powers") else []
    return [*training.read_weights(session).values(), *slots, *powers]


def scale_of(session: training.Session) -> float:
    return float(session.loss_scale.value.numpy())


@pytest.mark.parametrize(("execution", "rule"), EVERY)
@pytest.mark.parametrize("steps_before", [0, 2])
def test_a_scale_that_is_too_large_skips_the_step_and_is_halved(execution, rule, steps_before):
    architecture = small(rule)
    session, batch = start(architecture, execution), random_batch(architecture)
    train(session, batch, steps_before)
    session.loss_scale.value.assign(2.0**24)  # (p - y) / 8 times that is more than float16's 65504
    before = state(session)
    loss = train(session, batch)
    assert np.isfinite(loss).all(), "the loss itself is finite: only its multiple was not"
    for old, new in zip(before, state(session), strict=True):
        np.testing.assert_array_equal(old, new)
    assert scale_of(session) == 2.0**23
    assert session.loss_scale.finite_steps.numpy() == 0


@pytest.mark.parametrize(("execution", "rule"), EVERY)
def test_samples_that_overflow_change_nothing_and_training_goes_on(execution, rule):
    architecture = small(rule)
    session, batch = start(architecture, execution), random_batch(architecture)
    train(session, batch, 2)
    before = state(session)
    train(session, Batch(np.full_like(batch.x, 1e30), batch.y))
    for old, new in zip(before, state(session), strict=True):
        np.testing.assert_array_equal(old, new)
    assert scale_of(session) == 2.0**14
    losses = train(session, batch, 20)
    assert losses[-1] < 0.9 * losses[0], losses
    assert scale_of(session) == 2.0**14
    assert session.loss_scale.finite_steps.numpy() == 20


@pytest.mark.parametrize(("execution", "rule"), EVERY)
def test_finite_steps_are_as_without_a_scale(execution, rule, monkeypatch):
    """In float32, where scaling by a power of two loses nothing: to the last bit."""
    architecture = small(rule)
    batch = random_batch(architecture)
    plain = start(architecture, execution, "fp32")
    monkeypatch.setattr(loss_scale, "SCALED", ("fp32",))
    scaled = start(architecture, execution, "fp32")
    assert plain.loss_scale is None
    assert scaled.loss_scale is not None
    assert train(plain, batch, 5) == train(scaled, batch, 5)
    for one, other in zip(state(plain), state(scaled), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("execution", settings.EXECUTIONS)
def test_the_scale_doubles_after_so_many_finite_steps_in_a_row(execution, monkeypatch):
    monkeypatch.setattr(loss_scale, "GROWTH_STEPS", 3)
    architecture = small("sgd")
    session, batch = start(architecture, execution), random_batch(architecture)
    seen = []
    for overflows in (False, False, True, False, False, False, False):
        train(session, Batch(np.full_like(batch.x, 1e30), batch.y) if overflows else batch)
        seen.append(scale_of(session))
    assert seen == [2.0**15, 2.0**15, 2.0**14, 2.0**14, 2.0**14, 2.0**15, 2.0**15]


def test_loading_begins_with_the_first_scale(tmp_path):
    architecture = small("sgd")
    session, batch = start(architecture), random_batch(architecture)
    file = training.save(session, tmp_path / "model")
    train(session, Batch(np.full_like(batch.x, 1e30), batch.y))
    assert training.read_knobs(session)["loss_scale"] == "16384, dynamic"
    session = training.load(session, file)
    assert training.read_knobs(session)["loss_scale"] == "32768, dynamic"
    assert session.loss_scale.finite_steps.numpy() == 0


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp64"])
def test_other_precisions_have_no_scale(precision):
    assert training.read_knobs(start(small("sgd"), precision=precision))["loss_scale"] == "none"


def test_a_traced_step_branches_nowhere():
    """A branch on the gradients is one that the host waits for."""
    session = start(small("adamw"))
    placed = training.place_batch(session, random_batch(small("adamw")))
    graph = session.step.get_concrete_function(*placed).graph
    kinds = {operation.type for operation in graph.get_operations()}
    assert "ResourceApplyAdam" in kinds
    assert not kinds & {"If", "StatelessIf", "While", "StatelessWhile", "Switch", "PyFunc"}, kinds
