"""The shipped models as PyTorch holds them, and small versions of them in training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters

import mlbench_torch.plugin as plugin
from mlbench_core.architecture import Architecture, initial_weights
from mlbench_core.hookspecs import Batch
from mlbench_core.models import bert, mlp, resnet
from mlbench_core.testing.cases import PUBLISHED
from mlbench_core.trial import Plan
from mlbench_torch import lowering
from mlbench_torch.training import Session

SAMPLES = 8
MODELS = {
    "mlp": mlp.mlp((12,), 4, hidden=(16, 16)),
    "resnet": resnet.resnet("resnet", (32, 32, 3), 4, depths=(1, 1, 1, 1), bottleneck=False, width=8),
    "bert": bert.bert("bert", (6,), 4, depth=1, size=64, vocabulary=50),
}
PRECISIONS = ("fp32", "bf16", "fp16", "fp64")


def session_of(architecture: Architecture, precision: str = "fp32", execution: str = "eager") -> Session:
    plan = Plan(
        device="cpu",
        precision=precision,
        execution=execution,
        batch_size=SAMPLES,
        optimizer=architecture.optimizer,
        threads=2,
        seed=0,
        task="train",
    )
    model = plugin.build_model(architecture, plan)
    return plugin.make_session(model, initial_weights(architecture, 0), plan)


def batch_of(architecture: Architecture, samples: int = SAMPLES) -> Batch:
    generator = np.random.default_rng(0)
    shape = (samples, *architecture.input_shape)
    tokens = architecture.input_kind == "tokens"
    x = generator.integers(0, 50, shape).astype(np.int32) if tokens else generator.standard_normal(shape, np.float32)
    return Batch(x, generator.integers(0, architecture.num_classes, samples).astype(np.int32))


def train(session: Session, batch: Batch, steps: int) -> list[float]:
    placed = plugin.place_batch(session, batch)
    return [float(plugin.to_numpy(session, plugin.train_step(session, placed))) for _ in range(steps)]


@pytest.mark.parametrize(("factory", "shape", "classes", "published"), PUBLISHED)
def test_published_parameter_counts(
    factory: Callable[..., Architecture], shape: tuple[int, ...], classes: int, published: int
) -> None:
    with torch.device("meta"):  # shapes without memory
        module = lowering.build(factory(shape, classes)).module
    assert sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad) == published


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ["mlp", *(pytest.param(name, marks=pytest.mark.long) for name in ("bert", "resnet"))])
def test_loss_falls(name: str, precision: str) -> None:
    losses = train(session_of(MODELS[name], precision), batch_of(MODELS[name]), 20)
    assert losses[-1] < 0.9 * losses[0], losses


# Compiling takes most of these tests' time, so the models are cut down; the conformance kit compiles whole ones in fp64.
COMPILED = {"mlp": MODELS["mlp"], "stem": resnet.resnet("stem", (16, 16, 3), 4, depths=(1,), bottleneck=False, width=8)}


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # by Inductor's import, of PyTorch's own
@pytest.mark.parametrize(
    ("name", "precision"),
    [("mlp", "fp32"), *(pytest.param(*pair, marks=pytest.mark.long) for pair in (("stem", "bf16"), ("mlp", "fp16")))],
)
def test_compiled(name: str, precision: str, tmp_path: Path) -> None:
    session, batch = session_of(COMPILED[name], precision, "compiled"), batch_of(COMPILED[name])
    file = plugin.save(session, tmp_path / "start")
    assert "compile_caches_disabled" in plugin.read_knobs(session)
    losses = train(session, batch, 20)
    assert losses[-1] < 0.9 * losses[0], losses
    placed = plugin.place_batch(session, batch)
    logits = plugin.to_numpy(session, plugin.infer(session, placed))
    assert logits.dtype == np.float32

    compiled = counters["stats"]["unique_graphs"]
    session = plugin.load(session, file)
    again = train(session, batch, 20)
    plugin.infer(session, placed)
    assert counters["stats"]["unique_graphs"] == compiled, "load() or a change of mode made PyTorch compile again"
    # The same sums by the same code; two threads may share them out in another way.
    np.testing.assert_allclose(again, losses, rtol=1e-6 if precision == "fp32" else 1e-3)
    plugin.close_session(session)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_save_and_load(name: str, tmp_path: Path) -> None:
    session, batch = session_of(MODELS[name]), batch_of(MODELS[name])
    start = plugin.save(session, tmp_path / "start.of")
    first = train(session, batch, 3)
    trained = plugin.save(session, tmp_path / "trained")
    kept, logits = plugin.read_weights(session), session.infer(session.place(batch)).numpy()
    session = plugin.load(session, start)
    # Weights, optimiser and dropout start again: the same losses but for the order of sums.
    np.testing.assert_allclose(train(session, batch, 3), first, rtol=1e-6)
    session = plugin.load(session, trained)
    for path, value in plugin.read_weights(session).items():
        np.testing.assert_array_equal(value, kept[path], err_msg=path)
    np.testing.assert_allclose(session.infer(session.place(batch)).numpy(), logits, rtol=1e-6)
    assert torch.load(trained, weights_only=True).keys() == session.module.state_dict().keys()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_gradients_change_nothing(name: str) -> None:
    session, batch = session_of(MODELS[name], "fp16"), batch_of(MODELS[name])
    train(session, batch, 2)
    before, generator = plugin.read_weights(session), torch.get_rng_state()
    found = plugin.gradients(session, plugin.place_batch(session, batch), None)
    for path, value in plugin.read_weights(session).items():
        np.testing.assert_array_equal(value, before[path], err_msg=path)
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(native.grad is None for _, native in session.trained)
    assert all(np.isfinite(value).all() and value.dtype == np.float32 for value in found.parameters.values())
