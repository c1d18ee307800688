"""Several processes train together, and none is left waiting for one that is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LOSING_ONE = """
import os, signal
import numpy as np, psutil
from mlbench_core.architecture import initial_weights
from mlbench_core.hookspecs import Batch
from mlbench_core.models.mlp import mlp
from mlbench_core.trial import Plan
from mlbench_torch import plugin

architecture = mlp((8,), 3)
plan = Plan(
    device="cpu*2", precision="fp64", execution="eager", batch_size=8, optimizer=architecture.optimizer, threads=2, seed=0,
    task="train",
)
session = plugin.make_session(plugin.build_model(architecture, plan), initial_weights(architecture, 0), plan)
batch = plugin.place_batch(session, Batch(np.ones((8, 8), np.float32), np.zeros(8, np.int32)))
plugin.synchronize(session, plugin.train_step(session, batch))
knobs = plugin.read_knobs(session)
assert (knobs["devices"], knobs["collectives"], knobs["bucket_mb"]) == ("2", "gloo", "25"), knobs
print("trained", flush=True)
(other,) = [child for child in psutil.Process().children() if child.pid != os.getpid()]
other.send_signal(signal.SIGKILL)
while True:
    plugin.synchronize(session, plugin.train_step(session, batch))
"""


def test_a_rank_that_dies_ends_the_worker_and_is_named() -> None:
    """The limit is what a hanging collective would run into; the worker is gone at once."""
    run = subprocess.run([sys.executable, "-c", LOSING_ONE], capture_output=True, text=True, timeout=120, check=False)
    assert "trained" in run.stdout, run.stderr
    assert run.returncode != 0
    assert "rank 1 of 2 ended with status -9 before it was told to" in run.stderr, run.stderr


THEIR_LOSS = """
from attrs import frozen
from mlbench_core.architecture import Loss

@frozen(kw_only=True)
class Twice(Loss):
    name: str = "twice"
"""
ON_TORCH = """
import torch.nn.functional as F
from their_loss import Twice
from mlbench_torch.loss import make_loss

@make_loss.register
def _(loss: Twice):
    return lambda logits, labels: 2 * F.cross_entropy(logits, labels)
"""
TRAINING = """
import numpy as np
from attrs import evolve
from mlbench_core.architecture import initial_weights
from mlbench_core.hookspecs import Batch
from mlbench_core.models.mlp import mlp
from mlbench_core.trial import Plan
from mlbench_torch import plugin
import their_loss, their_loss_on_torch

architecture = mlp((8,), 3)
plan = Plan(
    device="cpu*2", precision="fp64", execution="eager", batch_size=8, optimizer=architecture.optimizer, threads=2, seed=0,
    task="train",
)
random = np.random.default_rng(0)
x, y = random.standard_normal((8, 8)).astype(np.float32), random.integers(0, 3, 8).astype(np.int32)
for loss in (plan.loss, their_loss.Twice()):
    mine = evolve(plan, loss=loss)
    session = plugin.make_session(plugin.build_model(architecture, mine), initial_weights(architecture, 0), mine)
    batch = plugin.place_batch(session, Batch(x, y))
    print(float(plugin.to_numpy(session, plugin.train_step(session, batch))))
    plugin.close_session(session)
"""


def test_the_other_ranks_have_a_third_partys_loss_too(tmp_path: Path) -> None:
    (tmp_path / "their_loss.py").write_text(THEIR_LOSS)
    (tmp_path / "their_loss_on_torch.py").write_text(ON_TORCH)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(
        [sys.executable, "-c", TRAINING],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert run.returncode == 0, run.stderr
    own, twice = map(float, run.stdout.split())
    assert abs(twice - 2 * own) < 1e-12 * own


MANY = """
import numpy as np
from attrs import evolve
from mlbench_core.architecture import initial_weights
from mlbench_core.hookspecs import Batch
from mlbench_core.models.mlp import mlp
from mlbench_core.trial import Plan
from mlbench_torch import plugin

architecture = mlp((8,), 3)
two = Plan(
    device="cpu*2", precision="fp32", execution="eager", batch_size=8, optimizer=architecture.optimizer, threads=2, seed=0,
    task="train",
)
random = np.random.default_rng(0)
batches = [
    Batch(random.standard_normal((size, 8)).astype(np.float32), random.integers(0, 3, size).astype(np.int32))
    for size in (8, 32, 8, 64, 16, 128, 8, 256, 8)
]
for plan in (two, evolve(two, device="cpu")):
    session = plugin.make_session(plugin.build_model(architecture, plan), initial_weights(architecture, 0), plan)
    placed = [plugin.place_batch(session, batch) for batch in batches]
    print(*(float(plugin.to_numpy(session, plugin.train_step(session, batch))) for batch in placed))
    plugin.close_session(session)
"""


def test_shares_that_wait_stay_as_they_were_placed() -> None:
    """More batches are held than there are blocks to send them in, and of many sizes; in float32 a CPU trains on a batch
    where it lies."""
    run = subprocess.run([sys.executable, "-c", MANY], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    two, one = ([float(loss) for loss in line.split()] for line in run.stdout.splitlines())
    assert len(one) == 9
    assert two == pytest.approx(one, rel=1e-5)  # float32, summed in another order; another batch is off by far more


COMPILED = """
import numpy as np
from mlbench_core.architecture import (
    Activation, Architecture, BatchNorm, Conv2D, Dense, Flatten, Optimizer, Sequential, initial_weights
)
from mlbench_core.hookspecs import Batch
from mlbench_core.trial import Plan
from mlbench_torch import plugin

layers = [Conv2D(4, 3), BatchNorm(), Activation("relu"), Flatten(), Dense(8), BatchNorm(), Dense(3)]
architecture = Architecture(
    name="normed", root=Sequential(layers), input_shape=(6, 6, 1), num_classes=3,
    optimizer=Optimizer(name="sgd", learning_rate=0.1, momentum=0.9),
)
random = np.random.default_rng(0)
batches = [
    Batch(random.standard_normal((8, 6, 6, 1)).astype(np.float32), random.integers(0, 3, 8).astype(np.int32))
    for _ in range(5)
]
for device, execution in (("cpu", "eager"), ("cpu*2", "compiled")):
    plan = Plan(
        device=device, precision="fp64", execution=execution, batch_size=8, optimizer=architecture.optimizer, threads=2, seed=0,
        task="train",
    )
    session = plugin.make_session(plugin.build_model(architecture, plan), initial_weights(architecture, 0), plan)
    steps = [float(session.train_step(session.place(batch))) for batch in batches]
    found = [*steps, *(float(np.abs(value).sum()) for value in session.read_weights().values())]
    print(*found)
    print(session.compilations())
    plugin.close_session(session)
"""


@pytest.mark.long
def test_batch_norm_over_two_processes_is_one_graph_and_what_one_process_has() -> None:
    """Float64 both times, so what differs is the order of sums; the graph has no break at a BatchNorm."""
    run = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    alone, _, together, graphs = run.stdout.splitlines()
    one, two = ([float(value) for value in line.split()] for line in (alone, together))
    assert two == pytest.approx(one, rel=1e-12)
    assert int(graphs) == 1
