"""A trial from its first to its last phase: READ `run` to see what happens in a worker.

Setup, first step, warm-up and measuring are the same for both tasks; then `train` trains for real and `infer` answers queries.
"""

from __future__ import annotations

import itertools
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from attrs import evolve

from mlbench_core.data import batches
from mlbench_core.errors import MlbenchError, PluginError
from mlbench_core.hookspecs import Batch
from mlbench_core.trial import Epoch, Job, Measured
from mlbench_core.worker import memory, timing
from mlbench_core.worker.measuring import measure
from mlbench_core.worker.peak import measure_peak
from mlbench_core.worker.stage import Emit, Stage, set_up
from mlbench_core.worker.training import accuracy, train
from mlbench_core.worker.trampoline import Asking

RING = 8
"""Batches that take turns while measuring: enough that no step sees what the last one left in a cache of activations."""


def run(job: Job, emit: Emit, wait: timing.Turn, started: float | None = None) -> Asking[Measured]:
    """Runs the job's trial and returns what was measured.

    wait: called when the job takes turns, returns when it is this worker's.
    started: `perf_counter()` when this process began to import; what came before now is the phase "start". Raises
    UnsupportedError for what the framework does not offer, MlbenchError for results that cannot stand.
    """
    emit("phase", name="setup")
    start = perf_counter()
    stage, session = set_up(job, emit, wait)
    stage.phases["start"] = start - (start if started is None else started)
    stage.phases["setup"] = perf_counter() - start
    with stage.phase("setup"):
        measured = Measured(
            framework_version=stage.info.version,
            versions=stage.info.versions,
            execution=stage.plan.execution,
            num_parameters=_count_parameters(stage, session),
            flops_per_sample=stage.architecture.flops(job.trial.task),
            knobs=_knobs(stage, session),
        )
    memory.reset_host_peak()
    finish = _train if job.trial.task == "train" else _infer
    session, measured = yield from finish(stage, session, measured)
    with stage.phase("teardown"):
        probe = stage.framework.memory_probe(session) if "memory_probe" in stage.framework.hooks else []
        measured = evolve(measured, memory=[*probe, *memory.host_peak()])
        stage.framework.close_session(session)
    if job.trial.task == "infer" and job.trial.block == 0:
        with stage.phase("peak"):
            measured = evolve(measured, peak_flops=_peak(stage))
    return evolve(measured, phases=stage.phases)


def _knobs(stage: Stage, session: Any) -> dict[str, str]:
    """What the framework reads back, and the CPUs that the system lets this process use."""
    knobs = stage.framework.read_knobs(session) if "read_knobs" in stage.framework.hooks else {}
    if hasattr(os, "sched_getaffinity"):
        knobs = {**knobs, "cpu_affinity": ",".join(map(str, sorted(os.sched_getaffinity(0))))}
    return knobs


def _peak(stage: Stage) -> float | None:
    """None if the framework cannot: a missing yardstick must not cost the trial. The log says why."""
    try:
        return measure_peak(stage.framework, stage.plan)
    except Exception:
        traceback.print_exc(file=sys.stderr)
        return None


def _count_parameters(stage: Stage, session: Any) -> int:
    """Trainable elements as the framework itself holds them; they must be the architecture's."""
    held = stage.framework.read_weights(session)
    table = stage.architecture.parameters()
    wrong = {p.name for p in table if p.name not in held or held[p.name].shape != p.shape} | (
        set(held) - {p.name for p in table}
    )
    if wrong:
        raise PluginError(
            f"{stage.info.name} built other parameters than the architecture: {', '.join(sorted(wrong)[:5])}"
        )
    return sum(held[p.name].size for p in table if p.trainable)


def _place(stage: Stage, session: Any, source: Iterator[Batch], count: int) -> list[Any]:
    placed = [stage.framework.place_batch(session, batch) for batch in itertools.islice(source, count)]
    stage.framework.synchronize(session, placed[-1])
    return placed


def _train(stage: Stage, session: Any, measured: Measured) -> Asking[tuple[Any, Measured]]:
    trial, framework, arrays = stage.job.trial, stage.framework, stage.arrays
    scratch = Path(stage.job.scratch)
    with stage.phase("setup"):
        # Measuring trains the model; the real training must start from the same weights as everybody's, so keep them.
        start = framework.save(session, scratch / "start") if trial.block == 0 else None
        ring = _place(stage, session, batches(arrays.x_train, arrays.y_train, trial.batch_size, trial.seed, 0), RING)
    loop = timing.Loop(framework.train_step, framework.synchronize, session, ring)
    measured = yield from measure(stage, session, loop, measured)
    if start is None:
        return session, measured
    if stage.turn:
        stage.turn()  # the others may want another one before this one trains for minutes
    with stage.phase("step_latency"):
        latencies, dispatches = yield partial(loop.each, trial.measure.latency_steps, trial.measure.latency_seconds)
    del ring, loop
    session = framework.load(session, start)
    with stage.phase("train"):
        epochs = train(framework, session, arrays, trial, stage.emit)
    with stage.phase("evaluate"):
        final = [
            accuracy(framework, session, x, y, trial.batch_size)
            for x, y in ((arrays.x_train, arrays.y_train), (arrays.x_val, arrays.y_val))
        ]
    with stage.phase("save"):
        session, size, difference = _save_and_load(stage, session, scratch / "model")
    _require_finite(epochs)
    return session, evolve(
        measured,
        step_latencies=latencies,
        step_dispatches=dispatches,
        epochs=epochs,
        final_train_accuracy=final[0],
        final_val_accuracy=final[1],
        model_size_bytes=size,
        reload_difference=difference,
    )


def _require_finite(epochs: list[Epoch]) -> None:
    for number, epoch in enumerate(epochs, 1):
        if not np.isfinite(epoch.loss):
            raise MlbenchError(f"the loss of epoch {number} is {epoch.loss}: training diverged")


def _save_and_load(stage: Stage, session: Any, path: Path) -> tuple[Any, int, float]:
    """The session as loaded again, the bytes on disk, and how far the logits moved, relative to the largest."""
    framework, arrays, size = stage.framework, stage.arrays, stage.plan.batch_size
    sample = Batch(np.asarray(arrays.x_train[:size]), np.asarray(arrays.y_train[:size]))

    def logits(of: Any) -> Any:
        return framework.to_numpy(of, framework.infer(of, framework.place_batch(of, sample)))

    before = logits(session)
    written = framework.save(session, path)
    session = framework.load(session, written)
    difference = float(np.max(np.abs(logits(session) - before)) / np.max(np.abs(before)))
    return session, bytes_on_disk(written), difference


def bytes_on_disk(path: Path) -> int:
    """The size of a file, or of all files below a folder."""
    return path.stat().st_size if path.is_file() else sum(f.stat().st_size for f in path.rglob("*") if f.is_file())


def _infer(stage: Stage, session: Any, measured: Measured) -> Asking[tuple[Any, Measured]]:
    trial, framework, arrays = stage.job.trial, stage.framework, stage.arrays
    with stage.phase("setup"):
        source = batches(arrays.x_val, arrays.y_val, trial.batch_size, trial.seed, 0)
        ring = _place(stage, session, source, 8 * RING)
    mode = partial(framework.inference_mode, session) if "inference_mode" in framework.hooks else nullcontext
    loop = timing.Loop(framework.infer, framework.synchronize, session, ring, mode)
    measured = yield from measure(stage, session, loop, measured)
    assert measured.calibration is not None
    with stage.phase("latency"):
        turns = yield from timing.answer_queries(
            loop, trial.measure.queries, measured.calibration.steps_per_value, stage.turn
        )
    with stage.phase("teardown"):
        logits = framework.to_numpy(session, framework.infer(session, ring[0]))
    if not np.all(np.isfinite(logits)):
        raise MlbenchError("the logits of an untrained model are not finite")
    return session, evolve(measured, latencies=list(itertools.chain(*turns)), query_turns=[len(turn) for turn in turns])
