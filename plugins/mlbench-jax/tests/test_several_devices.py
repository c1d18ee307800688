"""Several devices that one CPU stands for, in a process of their own: JAX is told of them before it starts."""

import subprocess
import sys

STEPS = """
import os

os.environ |= {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "2"}
from mlbench_core.architecture import initial_weights
from mlbench_core.models.mlp import mlp
from mlbench_core.testing.cases import random_batch
from mlbench_core.trial import Plan
from mlbench_jax import lowering, plugin, training

architecture = mlp((64,), 10)
plan = Plan(
    device="cpu*2", precision="fp32", execution="compiled", batch_size=8, optimizer=architecture.optimizer, threads=1, seed=0,
    task="train",
)
session = training.Session(lowering.build(architecture, plan), initial_weights(architecture, 0), plan)
batch = session.place(random_batch(architecture))
for _ in range(1000):
    loss = plugin.train_step(session, batch)
print(float(loss) < 0.1)
"""


def test_a_thousand_steps_may_be_asked_for_at_once() -> None:
    """As a warm-up does. Unless each waits for the one before, XLA aborts after 40 s. Eight samples are learned by heart."""
    done = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "True"), done.stderr[-2000:]
