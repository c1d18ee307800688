"""Where the GPU's time goes in a training step of mlbench's own: its kernels, the longest first.

`python -m benchmarks.gpu.kernels jax bert-base --length 512 --batch-size 32` prints them with their ms per step, compiled and
under `tuned` unless told otherwise. PyTorch's profiler reads CUPTI, which sees the kernels of every library in the process, so
JAX's are listed by the same clock; TensorFlow's should be, which was not tried yet. It is in the process from the start, so
this is no way to measure speed.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median

from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.common import BERT_CLASSES, IMAGE, IMAGE_CLASSES
from mlbench_core.architecture import initial_weights
from mlbench_core.plugins import attribute, load_framework
from mlbench_core.registry import load_registry
from mlbench_core.trial import Plan
from mlbench_core.verify.samples import random_batch

WARMUP, STEPS, SHOWN = 10, 10, 25


def main() -> None:
    """Profiles and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("framework", choices=["pytorch", "tensorflow", "jax"])
    parser.add_argument("model")
    parser.add_argument("--length", type=int, default=0, help="of sequences; without it the model gets images")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--device", default="cuda:0", help="of several, the first one's kernels are listed")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--execution", default="compiled")
    parser.add_argument("--profile", default="tuned", choices=["tuned", "matched"])
    given = parser.parse_args()
    shape, classes = ((given.length,), BERT_CLASSES) if given.length else (IMAGE, IMAGE_CLASSES)
    architecture = attribute(load_registry(Path()).models[given.model].source.factory)(shape, classes)
    framework = load_framework(given.framework)
    plan = Plan(
        device=given.device, precision=given.precision, execution=given.execution, batch_size=given.batch_size,
        optimizer=architecture.optimizer, threads=8, seed=0, task="train", tuned=given.profile == "tuned",
    )  # fmt: skip
    os.environ.update(framework.worker_environment(plan) or {})
    session = framework.make_session(framework.build_model(architecture, plan), initial_weights(architecture, 0), plan)
    batch = framework.place_batch(session, random_batch(architecture, given.batch_size, 0))

    def steps(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            handle = framework.train_step(session, batch)
        framework.synchronize(session, handle)
        return time.perf_counter() - start

    first = steps(1)
    steps(WARMUP)
    step_ms = 1e3 * steps(STEPS) / STEPS
    found = kernels(lambda: steps(STEPS))
    busy = sum(sum(times) for times in found.values()) / STEPS / 1e3
    print(f"{given.framework} {given.model}, {given.precision}, {shape}, batch {given.batch_size}")
    print(f"execution {given.execution}, profile {given.profile}")
    print(f"first step {first:.1f} s; a step {step_ms:.2f} ms, {given.batch_size / step_ms * 1e3:,.0f} samples/s")
    print(f"kernels {busy:.2f} ms a step, in {sum(map(len, found.values())) / STEPS:.0f} launches")
    longest = sorted(found.items(), key=lambda item: -sum(item[1]))
    for name, times in longest[:SHOWN]:
        print(f"{sum(times) / STEPS / 1e3:8.3f} ms  {len(times) / STEPS:6.1f} x {median(times):8.1f} us  {name:.110}")
    framework.close_session(session)


def kernels(run: Callable[[], object]) -> dict[str, list[float]]:
    """By kernel (or copy), the microseconds of each that ran meanwhile."""
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        run()
    found = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiled.export_chrome_trace(str(trace))
        for event in json.loads(trace.read_text())["traceEvents"]:
            if event.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset"):
                found[event["name"]].append(float(event["dur"]))
    return found


if __name__ == "__main__":
    main()
