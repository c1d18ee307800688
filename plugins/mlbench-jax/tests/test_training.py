"""What the conformance kit does not ask: Flax's own counts, every precision, no second compilation, types under x64."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from attrs import evolve
from flax import nnx

from mlbench_core.architecture import Architecture, initial_weights
from mlbench_core.errors import PluginError, UnsupportedError
from mlbench_core.hookspecs import Batch
from mlbench_core.models.bert import bert
from mlbench_core.models.mlp import mlp
from mlbench_core.models.resnet import resnet
from mlbench_core.testing.cases import PUBLISHED, random_batch
from mlbench_core.trial import Plan
from mlbench_jax import lowering, memory, plugin, settings, training

SMALL = {
    "mlp": mlp((9,), 4, hidden=(16,)),
    "resnet": resnet("narrow", (32, 32, 3), 4, depths=(1, 1, 1, 1), bottleneck=False, width=8),
    "bert": bert("small", (8,), 4, depth=1, size=64, vocabulary=50, dropout=0.1),
}
PRECISIONS = ("fp32", "bf16", "fp16", "fp64")


def plan(architecture: Architecture, precision: str = "fp32", seed: int = 0) -> Plan:
    return Plan(
        device="cpu",
        precision=precision,
        execution="compiled",
        batch_size=8,
        optimizer=architecture.optimizer,
        threads=2,
        seed=seed,
        task="train",
    )


def start(architecture: Architecture, precision: str = "fp32", weights=None, seed: int = 0) -> training.Session:
    chosen = plan(architecture, precision, seed)
    return training.Session(lowering.build(architecture, chosen), weights or initial_weights(architecture, 0), chosen)


def losses(session: training.Session, steps: int) -> list[float]:
    batch = session.place(random_batch(session.architecture))
    return [float(plugin.train_step(session, batch)) for _ in range(steps)]


@pytest.mark.parametrize(("factory", "shape", "classes", "published"), PUBLISHED)
def test_published_parameter_counts(factory, shape, classes, published):
    architecture = factory(shape, classes)
    module = lowering.build(architecture, plan(architecture)).module
    assert sum(value.size for value in jax.tree.leaves(nnx.state(module, nnx.Param))) == published


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", sorted(SMALL))
def test_loss_falls(name, precision):
    session = start(SMALL[name], precision)
    seen = losses(session, 20)
    assert np.isfinite(seen).all()
    assert seen[-1] < 0.9 * seen[0], seen  # 20 steps on one batch: far below, unless nothing is learned
    wanted = np.dtype("float64" if precision == "fp64" else "float32")
    assert {value.dtype for value in session.read_weights().values()} == {wanted}
    assert session.program.step._cache_size() == 1


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("name", sorted(SMALL))
def test_no_float64_in_a_narrower_session_when_x64_is_on(name, precision):
    wide = start(SMALL["mlp"], "fp64")  # turns x64 on for the process
    assert plugin.read_knobs(wide)["x64"] == "True"
    # Flax's dropout draws in the process's default type. Its result has its input's type, so nothing else widens.
    session = start(SMALL[name].without_dropout(), precision)
    x, y = session.place(random_batch(SMALL[name]))
    text = session.program.step.lower(session.state, x, y).as_text()
    # Scalars are: Adam's bias corrections.
    assert "xf64>" not in text


@pytest.mark.parametrize("name", sorted(SMALL))
def test_the_step_takes_its_states_memory(name):
    session = start(SMALL[name])
    batch = session.place(random_batch(SMALL[name]))
    before = jax.tree.leaves(session.state)
    plugin.train_step(session, batch)
    assert all(array.is_deleted() for array in before)


def test_gradients_leave_dropout_where_it_was():
    one, other = start(SMALL["bert"]), start(SMALL["bert"])
    other.gradients(other.place(random_batch(SMALL["bert"])), None)
    assert losses(one, 2) == losses(other, 2)


def test_a_step_carries_no_typed_keys():
    session = start(SMALL["bert"])
    state = session.state
    # Dropout's keys and counts; JAX would take typed keys apart in Python at every step.
    assert set(state.variables.others) - set(session.layouts)
    assert not any(jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in jax.tree.leaves(state))


def test_dropout_draws_anew_in_every_step():
    session = start(SMALL["bert"])
    batch = session.place(random_batch(SMALL["bert"]))
    first = session.gradients(batch, None).loss
    params = jax.tree.map(jax.numpy.copy, session.state.variables.params)
    plugin.train_step(session, batch)
    session.state = session.state._replace(variables=session.state.variables._replace(params=params))
    assert session.gradients(batch, None).loss != first


def test_loading_compiles_nothing_again(tmp_path):
    session = start(SMALL["bert"])
    file = session.save(tmp_path / "model.of")
    first = losses(session, 3)
    session.load(file)
    assert losses(session, 3) == first  # weights, running statistics, optimiser and dropout all begin again
    assert session.program.step._cache_size() == 1


def test_a_session_made_to_infer_holds_no_optimiser(tmp_path):
    chosen = evolve(plan(SMALL["mlp"]), task="infer")
    session = training.Session(lowering.build(SMALL["mlp"], chosen), initial_weights(SMALL["mlp"], 0), chosen)
    assert session.state.optimizer is None
    session.load(session.save(tmp_path / "model"))
    assert session.state.optimizer is None
    with pytest.raises(AssertionError, match="made to infer"):
        losses(session, 1)


def test_another_models_file_is_refused(tmp_path):
    file = start(SMALL["mlp"]).save(tmp_path / "model.of")
    assert file == tmp_path / "model.of.msgpack"
    with pytest.raises(PluginError, match="another model"):
        start(SMALL["bert"]).load(file)


def test_the_callers_arrays_stay_as_they_were():
    weights = initial_weights(SMALL["mlp"], 0)
    kept = {name: value.copy() for name, value in weights.items()}
    losses(start(SMALL["mlp"], "fp32", weights), 3)
    for name, value in kept.items():
        np.testing.assert_array_equal(weights[name], value)


def test_denormals_are_flushed():
    """On a CPU, without being asked: why mlbench asks PyTorch to do the same."""
    smallest = np.full(1000, np.finfo(np.float32).tiny)
    assert (smallest / 2).all()
    halves = jax.jit(lambda x: x / 2)(jax.device_put(smallest, settings.host()))
    assert not np.asarray(halves).view(np.int32).any()


def test_knobs_are_read_back():
    knobs = plugin.read_knobs(start(SMALL["mlp"], "fp32"))
    assert (knobs["parameters"], knobs["product_types"], knobs["product_precision"]) == (
        "float32",
        "float32",
        "HIGHEST",
    )
    knobs = plugin.read_knobs(start(SMALL["mlp"], "fp16"))
    assert (knobs["parameters"], knobs["product_types"]) == ("float32", "float16")


def test_a_step_that_overflows_float16_changes_nothing_but_the_scale():
    session = start(SMALL["mlp"], "fp16")
    before = session.read_weights()
    batch = random_batch(SMALL["mlp"])
    plugin.train_step(session, session.place(Batch(np.full_like(batch.x, 60_000), batch.y)))
    for path, value in session.read_weights().items():
        np.testing.assert_array_equal(value, before[path], err_msg=path)
    assert float(session.state.scale.scale) == 2.0**14
    plugin.train_step(session, session.place(batch))
    assert any((value != before[path]).any() for path, value in session.read_weights().items())


def test_products_of_float32_ask_for_the_highest_precision():
    session = start(SMALL["resnet"])
    x, y = session.place(random_batch(SMALL["resnet"]))
    text = session.program.step.lower(session.state, x, y).as_text()
    products = [line for line in text.splitlines() if "stablehlo.convolution(" in line or "dot_general" in line]
    assert products
    assert all("HIGHEST" in line for line in products)


def test_environment_follows_the_plan():
    asked = plugin.worker_environment(plan(SMALL["mlp"], "fp64"))
    assert (asked["JAX_PLATFORMS"], asked["JAX_ENABLE_X64"]) == ("cpu", "1")
    asked = plugin.worker_environment(evolve(plan(SMALL["mlp"]), device="cuda:0"))
    assert (asked["JAX_PLATFORMS"], asked["JAX_ENABLE_X64"]) == ("cuda,cpu", "0")
    assert asked["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"


def test_a_cpu_has_no_memory_counters():
    assert memory.readings(jax.devices("cpu")) == []


def test_tf32_is_refused_on_the_cpu():
    with pytest.raises(UnsupportedError, match="tf32"):
        settings.apply(plan(SMALL["mlp"], "tf32"))


def test_a_gpu_that_is_not_there_is_refused():
    if len(settings.framework_info().devices) > 1:
        pytest.skip("JAX sees a GPU")
    with pytest.raises(UnsupportedError, match=r"jax\[cuda13\]"):
        settings.apply(evolve(plan(SMALL["mlp"]), device="cuda:0"))
