"""Several processes train together, and none is left waiting for one that is gone."""

from __future__ import annotations

import subprocess
import sys

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
