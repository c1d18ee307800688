"""What the memory counters say of a known allocation: 800 MB planted on the GPU, read by each framework and by NVML.

`python -m benchmarks.gpu.memory pytorch` prints the growth of each counter in MB; `live_tensors` must be
within 10 % of 800. One framework per process.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from mlbench_core.architecture import initial_weights
from mlbench_core.executors.gpu import watched
from mlbench_core.models.mlp import mlp
from mlbench_core.plugins import load_framework
from mlbench_core.trial import Plan

PLANTED = 800_000_000


def plant(name: str) -> Any:
    """An array of 800 MB on the first GPU."""
    if name == "pytorch":
        import torch

        return torch.ones(PLANTED // 4, device="cuda")
    if name == "jax":
        import jax.numpy as jnp

        return jnp.ones(PLANTED // 4, jnp.float32).block_until_ready()
    import tensorflow as tf

    with tf.device("/GPU:0"):
        planted = tf.ones([PLANTED // 4])
    return planted, planted[0].numpy()


def main() -> None:
    """Reads, plants, reads again."""
    name = sys.argv[1]
    framework = load_framework(name)
    architecture = mlp((64,), 10)
    plan = Plan(
        device="cuda:0", precision="fp32", execution="default", batch_size=16, optimizer=architecture.optimizer, threads=4,
        seed=0, task="infer",
    )  # fmt: skip
    os.environ.update(framework.worker_environment(plan) or {})
    info = framework.framework_info()
    from attrs import evolve

    plan = evolve(plan, execution=info.default_execution)
    session = framework.make_session(framework.build_model(architecture, plan), initial_weights(architecture, 0), plan)
    with watched(os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0], os.getpid()) as gpus:
        assert gpus is not None, "NVML sees no GPU"
        before = {reading.name: reading.bytes for reading in framework.memory_probe(session)}
        process = gpus.read().memory_bytes or 0
        planted = plant(name)
        after = {reading.name: reading.bytes for reading in framework.memory_probe(session)}
        grown = {counter: (after[counter] - before.get(counter, 0)) / 1e6 for counter in after}
        grown["process on the device (NVML)"] = ((gpus.read().memory_bytes or 0) - process) / 1e6
    del planted
    print(f"{name} {info.version}: " + ", ".join(f"{counter} +{size:.0f} MB" for counter, size in grown.items()))
    ok = all(abs(grown[counter] / 800 - 1) <= 0.1 for counter in ("live_tensors",) if counter in grown)
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
