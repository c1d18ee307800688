"""What the plugin refuses, what it lets a third party add, and what it leaves alone."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile

import numpy as np
import pytest
import torch
from attrs import evolve, frozen
from torch import nn

import mlbench_torch.plugin as plugin
from mlbench_core.architecture import (
    Architecture,
    BatchNorm,
    Binding,
    Constant,
    Dense,
    Flatten,
    Layer,
    Optimizer,
    Parameter,
    Sequential,
    Shape,
    initial_weights,
)
from mlbench_core.errors import PluginError, UnsupportedError
from mlbench_core.hookspecs import Batch
from mlbench_core.reference import plugin as reference
from mlbench_core.trial import Plan
from mlbench_torch.lowering import At, Model, lower
from mlbench_torch.settings import bucket_mb, compile_mode
from mlbench_torch.training import Session

SGD = Optimizer(name="sgd", learning_rate=0.01)


def plan_of(**changes: object) -> Plan:
    return evolve(
        Plan(
            device="cpu",
            precision="fp64",
            execution="eager",
            batch_size=6,
            optimizer=SGD,
            threads=1,
            seed=0,
            task="train",
        ),
        **changes,
    )


def small(*layers: Layer, shape: Shape = (3,)) -> Architecture:
    root = Sequential([*layers, Flatten()])
    return Architecture(
        name="small", root=root, input_shape=shape, num_classes=math.prod(root.output_shape(shape)), optimizer=SGD
    )


def session_of(architecture: Architecture, plan: Plan) -> Session:
    return plugin.make_session(plugin.build_model(architecture, plan), initial_weights(architecture, 0), plan)


@frozen
class Scale(Layer):
    """y = x * scale."""

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        return (Parameter("scale", shape[-1:], Constant(2.0)),)


class ScaleModule(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale


def test_a_layer_of_ones_own() -> None:
    @lower.register
    def _(layer: Scale, site: At) -> nn.Module:
        module = ScaleModule(site.shape[-1])
        site.bind("scale", module.scale)
        return module

    session = session_of(small(Scale()), plan_of())
    x = np.ones((6, 3), np.float32)
    np.testing.assert_array_equal(session.infer(session.place(Batch(x, np.zeros(6, np.int32)))).numpy(), 2 * x)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_says_what_to_install() -> None:
    architecture = small(Dense(2))
    with pytest.raises(UnsupportedError, match="CUDA build"):
        session_of(architecture, plan_of(device="cuda:0"))


def test_tf32_is_refused_on_the_cpu() -> None:
    with pytest.raises(UnsupportedError, match="tf32"):
        session_of(small(Dense(2)), plan_of(precision="tf32"))


def test_a_native_model_is_placed_and_bound_again() -> None:
    architecture = small(Dense(4), BatchNorm())
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))  # in float32: to float64 replaces the buffers
    linear, norm = module
    bindings = {
        "0.kernel": Binding(linear.weight, (1, 0)),
        "0.bias": Binding(linear.bias),
        "1.scale": Binding(norm.weight),
        "1.bias": Binding(norm.bias),
        "1.mean": Binding(norm.running_mean),
        "1.var": Binding(norm.running_var),
    }
    without = {path: binding for path, binding in bindings.items() if path != "1.var"}
    weights = initial_weights(architecture, 0)
    with pytest.raises(PluginError, match=r"missing \['1.var'\]"):
        plugin.make_session(Model(architecture, module, without), weights, plan_of())
    elsewhere = {**bindings, "1.var": Binding(torch.ones(4))}
    with pytest.raises(PluginError, match=r"1\.var are bound to tensors that are no parameters"):
        plugin.make_session(Model(architecture, module, elsewhere), weights, plan_of())

    session = plugin.make_session(Model(architecture, module, bindings), weights, plan_of())
    batch = Batch(np.random.default_rng(0).standard_normal((6, 3), np.float32), np.arange(6, dtype=np.int32) % 4)
    session.train_step(session.place(batch))
    read = plugin.read_weights(session)
    assert all(value.dtype == np.float64 for value in read.values())
    assert not np.array_equal(read["1.mean"], weights["1.mean"])


def test_parameters_that_the_tree_does_not_know_are_named() -> None:
    architecture = small(Dense(2))
    model = plugin.build_model(architecture, plan_of())
    wider = evolve(model, module=nn.Sequential(model.module, nn.Linear(2, 2)))
    with pytest.raises(PluginError, match=r"does not know: 1\.bias, 1\.weight"):
        plugin.make_session(wider, initial_weights(architecture, 0), plan_of())


def test_running_variance_follows_a_changing_batch_size() -> None:
    architecture = small(BatchNorm(momentum=0.7), shape=(2, 3, 2))
    weights = {**initial_weights(architecture, 0), "0.var": np.array([0.5, 3.0], np.float32)}
    found = plugin.make_session(plugin.build_model(architecture, plan_of()), weights, plan_of())
    expected = reference.make_session(reference.build_model(architecture, plan_of()), weights, plan_of())
    generator = np.random.default_rng(0)
    for samples in (6, 6, 2, 2, 2, 6, 3):
        x = generator.standard_normal((samples, 2, 3, 2), np.float32)
        batch = Batch(x, generator.integers(0, 12, samples).astype(np.int32))
        placed = found.place(batch)
        found.train_step(placed)
        reference.train_step(expected, reference.place_batch(expected, batch))
        if samples == 2:  # looking must not change what follows
            plugin.read_weights(found)
            found.infer(placed)
    # float64: a few roundings of 1e-16 each
    np.testing.assert_allclose(
        plugin.read_weights(found)["0.var"], reference.read_weights(expected)["0.var"], rtol=1e-13
    )


def test_images_are_channels_last_views() -> None:
    session = session_of(small(Dense(2), shape=(4, 5, 3)), plan_of(precision="fp32"))
    x = np.random.default_rng(0).standard_normal((6, 4, 5, 3), np.float32)
    placed = session.place(Batch(x, np.zeros(6, np.int32)))
    assert placed.x.shape == (6, 3, 4, 5)
    assert placed.x.is_contiguous(memory_format=torch.channels_last)
    assert placed.x.data_ptr() == x.ctypes.data, "placing on a CPU copied"


def test_read_only_samples_are_copied() -> None:
    session = session_of(small(Dense(2)), plan_of(precision="fp32"))
    x = np.ones((6, 3), np.float32)
    x.flags.writeable = False
    placed = session.place(Batch(x, np.zeros(6, np.int32)))
    assert placed.x.data_ptr() != x.ctypes.data


def test_knobs_and_memory_on_a_cpu() -> None:
    session = session_of(small(Dense(2)), plan_of(precision="bf16"))
    knobs = plugin.read_knobs(session)
    assert knobs["threads"] == "1"
    assert knobs["tf32_matmul"] == knobs["tf32_convolution"] == "False"
    assert knobs["autocast"] == "bfloat16"
    assert plugin.memory_probe(session) == []


@pytest.mark.parametrize(("precision", "flushed"), [("fp32", True), ("bf16", True), ("default", False), ("fp64", True)])
def test_denormals_are_flushed_except_as_pytorch_comes(precision: str, flushed: bool) -> None:
    session = session_of(small(Dense(2)), plan_of(precision=precision))
    assert plugin.read_knobs(session)["flush_denormal"] == str(flushed)
    half = torch.tensor(2.0**-126) / 2
    assert (half.view(torch.int32) == 0) == flushed


FLUSHING = """
import torch
import mlbench_torch.plugin as plugin
from mlbench_core.architecture import initial_weights
from mlbench_core.models.mlp import mlp
from mlbench_core.trial import Plan

architecture = mlp((4096,), 4)  # large enough that PyTorch's threads are at work while the model is built
plan = Plan(
    device="cpu", precision="fp32", execution="eager", batch_size=6,
    optimizer=architecture.optimizer, threads=2, seed=0, task="train",
)
session = plugin.make_session(plugin.build_model(architecture, plan), initial_weights(architecture, 0), plan)
knobs = plugin.read_knobs(session)
assert (knobs["threads"], knobs["flush_denormal"]) == ("2", "True"), knobs
torch.set_flush_denormal(False)  # here; the other thread goes on as it was started
assert plugin.read_knobs(session)["flush_denormal"] == "False"
"""


@pytest.mark.long
def test_every_thread_flushes_denormals() -> None:
    run = subprocess.run([sys.executable, "-c", FLUSHING], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.long
def test_a_compiled_worker_starts_cold() -> None:
    assert plugin.worker_environment(plan_of(execution="default")) == {}
    variables = plugin.worker_environment(plan_of(execution="compiled"))
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        assert variables[name].startswith(tempfile.gettempdir())
    code = "from torch._inductor import config; import sys; sys.exit(not config.force_disable_caches)"
    run = subprocess.run([sys.executable, "-c", code], env={**os.environ, **variables}, check=False)
    assert run.returncode == 0, "PyTorch no longer knows the variable"


INFERRING = """
import sys
import numpy as np
import mlbench_torch.plugin as plugin
from mlbench_core.architecture import initial_weights
from mlbench_core.hookspecs import Batch
from mlbench_core.models.mlp import mlp
from mlbench_core.trial import Plan

architecture = mlp((9,), 4)
plan = Plan(
    device="cpu", precision="fp32", execution="eager", batch_size=6,
    optimizer=architecture.optimizer, threads=1, seed=0, task="infer",
)
session = plugin.make_session(plugin.build_model(architecture, plan), initial_weights(architecture, 0), plan)
plugin.infer(session, plugin.place_batch(session, Batch(np.ones((6, 9), np.float32), np.zeros(6, np.int32))))
assert session.optimizer is None
assert "optimizer" not in plugin.read_knobs(session)
sys.exit("torch._dynamo" in sys.modules)
"""


def test_inferring_neither_makes_an_optimiser_nor_imports_the_compiler() -> None:
    run = subprocess.run([sys.executable, "-c", INFERRING], check=False)
    assert run.returncode == 0, "torch._dynamo was imported, and inference is slower beside it"


def test_fp16_scales_the_loss_without_changing_the_step() -> None:
    architecture = small(Dense(2))
    batch = Batch(np.random.default_rng(0).standard_normal((6, 3), np.float32), np.zeros(6, np.int32))
    moved = {}
    for precision in ("fp32", "fp16"):
        session = session_of(architecture, plan_of(precision=precision))
        session.train_step(session.place(batch))
        moved[precision] = plugin.read_weights(session)["0.kernel"] - initial_weights(architecture, 0)["0.kernel"]
    # float16 rounds by 5e-4; a scale that was not taken out again would show as a factor of 32,768
    np.testing.assert_allclose(moved["fp16"], moved["fp32"], rtol=0.01, atol=1e-6)


def test_a_step_that_overflows_float16_changes_nothing_but_the_scale() -> None:
    architecture = small(Dense(2))
    session = session_of(architecture, plan_of(precision="fp16"))
    before = plugin.read_weights(session)
    huge = Batch(np.full((6, 3), 60_000, np.float32), np.arange(6, dtype=np.int32) % 2)
    session.train_step(session.place(huge))
    for path, value in plugin.read_weights(session).items():
        np.testing.assert_array_equal(value, before[path], err_msg=path)
    assert session.knobs()["loss_scale"] == "16384, dynamic"
    session.train_step(session.place(Batch(np.ones((6, 3), np.float32), huge.y)))
    assert any((value != before[path]).any() for path, value in plugin.read_weights(session).items())


def test_a_tuned_optimiser_is_fused_and_updates_alike() -> None:
    architecture = small(Dense(4), Dense(2))
    batch = Batch(np.random.default_rng(0).standard_normal((6, 3), np.float32), np.zeros(6, np.int32))
    for rule in (Optimizer(name="sgd", learning_rate=0.5, momentum=0.9), Optimizer(name="adamw", learning_rate=0.01)):
        found = []
        for tuned in (False, True):
            session = session_of(architecture, plan_of(optimizer=rule, tuned=tuned))
            for _ in range(5):
                session.train_step(session.place(batch))
            found.append((session.knobs()["optimizer_fused"], plugin.read_weights(session)))
        (plain, expected), (fused, weights) = found
        assert (plain, fused) == ("None", "True")
        for path, value in weights.items():  # float64, in another order of operations
            np.testing.assert_allclose(value, expected[path], rtol=1e-12, err_msg=path)


@pytest.mark.parametrize(
    ("device", "tuned", "mode"),
    [
        ("cuda:0", True, "reduce-overhead"),
        ("cuda:0-1", True, "reduce-overhead"),
        ("cuda:0", False, "default"),
        ("cpu", True, "default"),
        ("mps", True, "default"),
    ],
)
def test_a_tuned_plan_asks_for_cuda_graphs(device: str, tuned: bool, mode: str) -> None:
    assert compile_mode(plan_of(device=device, tuned=tuned)) == mode


@pytest.mark.parametrize(
    ("device", "execution", "tuned", "megabytes"),
    [
        ("cuda:0-1", "compiled", True, 120),
        ("cuda:0-1", "eager", True, None),  # no graphs: small buckets are summed while the rest is computed
        ("cuda:0-1", "compiled", False, None),
        ("cpu*2", "compiled", True, None),
    ],
)
def test_a_tuned_group_sums_gradients_in_larger_buckets(
    device: str, execution: str, tuned: bool, megabytes: int | None
) -> None:
    assert bucket_mb(plan_of(device=device, execution=execution, tuned=tuned)) == megabytes


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU")
def test_a_tuned_step_on_a_gpu_is_two_cuda_graphs_and_updates_alike() -> None:
    architecture = small(Dense(4), BatchNorm(), Dense(2))
    batch = Batch(np.random.default_rng(0).standard_normal((6, 3), np.float32), np.arange(6, dtype=np.int32) % 2)
    found = []
    for tuned in (False, True):
        session = session_of(architecture, plan_of(device="cuda:0", execution="compiled", tuned=tuned))
        placed = session.place(batch)
        for _ in range(5):  # the first warms up, the second records
            session.train_step(placed)
        with torch.profiler.profile() as profiled:
            session.train_step(placed)
            session.synchronize()
        replays = sum(event.count for event in profiled.key_averages() if event.key == "cudaGraphLaunch")
        found.append((replays, plugin.read_weights(session)))
        session.close()
    (none, expected), (replays, weights) = found
    assert (none, replays) == (0, 2)  # the way there and the way back
    for path, value in weights.items():  # float64, a fused optimiser's sums in another order
        np.testing.assert_allclose(value, expected[path], rtol=1e-12, atol=1e-15, err_msg=path)


def test_decay_spares_vectors() -> None:
    architecture = small(Dense(2))
    rule = Optimizer(name="adamw", learning_rate=0.01, weight_decay=0.1)
    session = session_of(architecture, plan_of(optimizer=rule))
    decay = {group["weight_decay"]: [p.dim() for p in group["params"]] for group in session.optimizer.param_groups}
    assert decay == {0.1: [2], 0.0: [1]}
