"""Where the GPU's time goes in a training step: its kernels, the longest first, with their ms per step.

`python -m benchmarks.gpu.kernels jax bert-base --length 512 --batch-size 32` lists those of mlbench's own step, compiled and
under `tuned` unless told otherwise; `pytorch ... --by-hand` those of the loop in torch_loop.py. PyTorch's profiler reads CUPTI,
which sees the kernels of every library in the process, so JAX's are listed by the same clock. TensorFlow is profiled by its own
profiler, without PyTorch in the process. The speed is taken before a profiler starts, but PyTorch's is in the process from the
beginning: this is no way to measure speed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import tempfile
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.gpu.common import BERT_CLASSES, IMAGE, IMAGE_CLASSES, Job
from mlbench_core.architecture import initial_weights
from mlbench_core.plugins import attribute, load_framework
from mlbench_core.registry import load_registry
from mlbench_core.trial import Plan
from mlbench_core.verify.samples import random_batch

WARMUP, STEPS, SHOWN = 10, 10, 25
GPU_PLANE, STREAM, GRAPH = "/device:GPU:0", "Stream #", "CudaGraphExec"
"""In TensorFlow's profile: a GPU, one of its streams, a CUDA graph as a whole."""

Kernels = dict[str, list[float]]
"""By kernel (or copy), the microseconds of each that ran."""


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
    parser.add_argument("--by-hand", action="store_true", help="PyTorch's loop by hand, on one GPU in bf16, compiled")
    given = parser.parse_args()
    if given.framework != "tensorflow":
        importlib.import_module("torch.profiler")  # CUPTI has to be there before the other framework starts
    with by_hand(given) if given.by_hand else by_mlbench(given) as train:
        show(given, train)


def show(given: argparse.Namespace, train: Callable[[int], None]) -> None:
    """Prints the speed of `train`, which takes so many steps and waits for the last, and its kernels."""

    def seconds(steps: int) -> float:
        start = time.perf_counter()
        train(steps)
        return time.perf_counter() - start

    first = seconds(1)
    train(WARMUP)
    step_ms = 1e3 * seconds(STEPS) / STEPS
    print(" ".join(f"{name}={value}" for name, value in vars(given).items()))
    print(
        f"first step {first:.1f} s; a step {step_ms:.2f} ms, {given.batch_size / step_ms * 1e3:,.0f} samples/s",
        flush=True,
    )
    found = (tensorflow_kernels if given.framework == "tensorflow" else cupti_kernels)(lambda: train(STEPS))
    busy = sum(sum(times) for times in found.values()) / STEPS / 1e3
    print(f"kernels {busy:.2f} ms a step, in {sum(map(len, found.values())) / STEPS:.0f} launches")
    longest = sorted(found.items(), key=lambda item: -sum(item[1]))
    for name, times in longest[:SHOWN]:
        print(f"{sum(times) / STEPS / 1e3:8.3f} ms  {len(times) / STEPS:6.1f} x {median(times):8.1f} us  {name:.110}")


@contextmanager
def by_mlbench(given: argparse.Namespace) -> Iterator[Callable[[int], None]]:
    """The training by the framework's plugin. Several processes wait for each other unless the session is closed."""
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

    def train(steps: int) -> None:
        for _ in range(steps):
            handle = framework.train_step(session, batch)
        framework.synchronize(session, handle)

    yield train
    framework.close_session(session)


@contextmanager
def by_hand(given: argparse.Namespace) -> Iterator[Callable[[int], None]]:
    """The training by PyTorch's loop by hand."""
    import torch

    from benchmarks.gpu.torch_loop import trainer

    job = Job(
        model=given.model, batch_size=given.batch_size, length=given.length, warmup_steps=0, steps_per_value=0, values=0,
        turn_seconds=0,
    )  # fmt: skip
    yield trainer(job, torch.device("cuda"))[0]


def cupti_kernels(run: Callable[[], object]) -> Kernels:
    """What ran meanwhile in this process, as PyTorch's profiler sees it."""
    from torch.profiler import ProfilerActivity, profile

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


def tensorflow_kernels(run: Callable[[], object]) -> Kernels:
    """What ran meanwhile on TensorFlow's first GPU, as its own profiler sees it; nothing where it sees no GPU."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder, tf.profiler.experimental.ProfilerOptions(host_tracer_level=1))
        try:
            run()
        finally:
            tf.profiler.experimental.stop()
        return read_xplane(max(Path(folder).rglob("*.xplane.pb")))


def read_xplane(path: Path) -> Kernels:
    """Those of the GPU's streams. Its other lines (XLA's modules and ops, TensorFlow's ops and scopes) are the same kernels
    again, and so is a CUDA graph over kernels of its stream."""
    from jax.profiler import ProfileData  # not before TensorFlow has stopped profiling

    planes = ProfileData.from_file(str(path)).planes
    lines = [
        line for plane in planes if plane.name == GPU_PLANE for line in plane.lines if line.name.startswith(STREAM)
    ]
    found = defaultdict(list)
    for line in lines:
        events = [(event.name, event.start_ns, event.duration_ns) for event in line.events]
        starts = sorted(start for name, start, _ in events if not name.startswith(GRAPH))
        for name, start, duration in events:
            covered = bisect_left(starts, start + duration) - bisect_left(starts, start)
            if not (name.startswith(GRAPH) and covered):
                found[name].append(duration / 1e3)
    return found


if __name__ == "__main__":
    main()
