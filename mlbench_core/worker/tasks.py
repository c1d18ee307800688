"""A trial from its first to its last phase: READ `run` to see what happens in a worker.

Setup, first step, warm-up and measuring are the same for both tasks; then `train` trains for real and `infer` answers queries.
"""

from __future__ import annotations

import itertools
import os
import platform
import sys
import tempfile
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
from mlbench_core.errors import DivergedError, PluginError
from mlbench_core.hookspecs import Batch
from mlbench_core.record import Epoch, Measured, MemoryReading
from mlbench_core.trial import Job
from mlbench_core.worker import memory, timing
from mlbench_core.worker.disturbance import Disturbance
from mlbench_core.worker.failure import OutOfMemoryError, short_of_memory
from mlbench_core.worker.measuring import measure
from mlbench_core.worker.peak import measure_peak
from mlbench_core.worker.setup import Emit, TrialSetup, set_up
from mlbench_core.worker.training import accuracy, train
from mlbench_core.worker.trampoline import Asking

RING = 8
"""Batches that take turns while measuring: enough that no step sees what the last one left in a cache of activations."""

MEND = "try fp32, whose range is the widest, or look at what the data hold"


def run(job: Job, emit: Emit, wait: timing.Turn, started: float | None = None) -> Asking[Measured]:
    """Runs the job's trial and returns what was measured.

    wait: called when the job takes turns, returns when it is this worker's.
    started: `perf_counter()` when this process began to import; what came before now is the phase "start". Raises
    UnsupportedError for what the framework does not offer, DivergedError for numbers that are not finite, another MlbenchError
    for results that cannot stand, and OutOfMemoryError with the framework's counters at that moment.
    """
    emit("phase", name="setup")
    start = perf_counter()
    setup, session = set_up(job, emit, wait)
    setup.phases["start"] = start - (start if started is None else started)
    setup.phases["setup"] = perf_counter() - start
    with setup.phase("setup"):
        measured = Measured(
            framework_version=setup.info.version,
            versions=setup.info.versions,
            python=platform.python_version(),
            interpreter=sys.executable,
            execution=setup.plan.execution,
            num_parameters=_count_parameters(setup, session),
            flops_per_sample=setup.architecture.flops(job.trial.task),
            knobs=_knobs(setup, session),
        )
    memory.reset_host_peak()
    finish = _train if job.trial.task == "train" else _infer
    try:
        session, measured = yield from finish(setup, session, measured)
    except Exception as error:
        if short_of_memory(error) is None:
            raise
        raise OutOfMemoryError(partial(_probe, setup, session)) from error
    with setup.phase("teardown"):
        measured = evolve(measured, memory=[*_probe(setup, session), *memory.host_peak()])
        setup.framework.close_session(session)
    if job.trial.task == "infer" and job.trial.block == 0:
        with setup.phase("peak"):
            measured = evolve(measured, peak_flops=_peak(setup))
    return evolve(measured, phases=setup.phases)


def _probe(setup: TrialSetup, session: Any) -> list[MemoryReading]:
    """The framework's own counters; none if it has none."""
    return setup.framework.memory_probe(session) if "memory_probe" in setup.framework.hooks else []


def _knobs(setup: TrialSetup, session: Any) -> dict[str, str]:
    """What the framework reads back, and the CPUs that the system lets this process use."""
    knobs = setup.framework.read_knobs(session) if "read_knobs" in setup.framework.hooks else {}
    if hasattr(os, "sched_getaffinity"):
        knobs = {**knobs, "cpu_affinity": ",".join(map(str, sorted(os.sched_getaffinity(0))))}
    return knobs


def _peak(setup: TrialSetup) -> float | None:
    """None if the framework cannot: a missing yardstick must not cost the trial. The log says why."""
    try:
        return measure_peak(setup.framework, setup.plan)
    except Exception:
        traceback.print_exc(file=sys.stderr)
        return None


def _count_parameters(setup: TrialSetup, session: Any) -> int:
    """Trainable elements as the framework itself holds them; they must be the architecture's."""
    held = setup.framework.read_weights(session)
    table = setup.architecture.parameters()
    wrong = {p.name for p in table if p.name not in held or held[p.name].shape != p.shape} | (
        set(held) - {p.name for p in table}
    )
    if wrong:
        raise PluginError(
            f"{setup.info.name} built other parameters than the architecture: {', '.join(sorted(wrong)[:5])}"
        )
    return sum(held[p.name].size for p in table if p.trainable)


def _place(setup: TrialSetup, session: Any, source: Iterator[Batch], count: int) -> list[Any]:
    placed = [setup.framework.place_batch(session, batch) for batch in itertools.islice(source, count)]
    setup.framework.synchronize(session, placed[-1])
    return placed


def _train(setup: TrialSetup, session: Any, measured: Measured) -> Asking[tuple[Any, Measured]]:
    with tempfile.TemporaryDirectory() as scratch:
        return (yield from _train_in(Path(scratch), setup, session, measured))


def _train_in(scratch: Path, setup: TrialSetup, session: Any, measured: Measured) -> Asking[tuple[Any, Measured]]:
    trial, framework, arrays = setup.job.trial, setup.framework, setup.arrays
    with setup.phase("setup"):
        # Measuring trains the model; the real training must start from the same weights as everybody's, so keep them.
        start = framework.save(session, scratch / "start") if trial.block == 0 else None
        ring = _place(setup, session, batches(arrays.x_train, arrays.y_train, trial.batch_size, trial.seed, 0), RING)
    loop = timing.Loop(step=framework.train_step, synchronize=framework.synchronize, session=session, batches=ring)
    measured = yield from measure(setup, session, loop, measured)
    if start is None:
        return session, measured
    if setup.turn:
        setup.turn()  # the others may want another one before this one trains for minutes
    disturbance = {"step_latency": Disturbance(), "train": Disturbance()}
    with setup.phase("step_latency"), disturbance["step_latency"].on():
        latencies, dispatches = yield partial(loop.each, trial.measure.latency_steps, trial.measure.latency_seconds)
    del ring, loop
    session = framework.load(session, start)
    with setup.phase("train"), disturbance["train"].on():
        epochs = train(framework, session, arrays, trial, setup.emit)
    with setup.phase("evaluate"):
        final = [
            accuracy(framework, session, x, y, trial.batch_size)
            for x, y in ((arrays.x_train, arrays.y_train), (arrays.x_val, arrays.y_val))
        ]
    with setup.phase("save"):
        session, size, difference = _save_and_load(setup, session, scratch / "model")
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
        disturbance=measured.disturbance | {phase: counting.counters() for phase, counting in disturbance.items()},
    )


def _require_finite(epochs: list[Epoch]) -> None:
    for number, epoch in enumerate(epochs, 1):
        if not np.isfinite(epoch.loss):
            raise DivergedError(f"the loss of epoch {number} is {epoch.loss}: training diverged; {MEND}")


def _save_and_load(setup: TrialSetup, session: Any, path: Path) -> tuple[Any, int, float]:
    """The session as loaded again, the bytes on disk, and how far the logits moved, relative to the largest."""
    framework, arrays, size = setup.framework, setup.arrays, setup.plan.batch_size
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


def _infer(setup: TrialSetup, session: Any, measured: Measured) -> Asking[tuple[Any, Measured]]:
    trial, framework, arrays = setup.job.trial, setup.framework, setup.arrays
    with setup.phase("setup"):
        source = batches(arrays.x_val, arrays.y_val, trial.batch_size, trial.seed, 0)
        ring = _place(setup, session, source, 8 * RING)
    mode = partial(framework.inference_mode, session) if "inference_mode" in framework.hooks else nullcontext
    loop = timing.Loop(
        step=framework.infer, synchronize=framework.synchronize, session=session, batches=ring, mode=mode
    )
    measured = yield from measure(setup, session, loop, measured)
    assert measured.calibration is not None
    disturbance = Disturbance()
    with setup.phase("latency"):
        turns = yield from timing.answer_queries(
            loop, trial.measure.queries, measured.calibration.steps_per_value, setup.turn, disturbance
        )
    with setup.phase("teardown"):
        logits = framework.to_numpy(session, framework.infer(session, ring[0]))
    if not np.all(np.isfinite(logits)):
        raise DivergedError(f"the logits of an untrained model are not finite; {MEND}")
    return session, evolve(
        measured,
        latencies=list(itertools.chain(*turns)),
        query_turns=[len(turn) for turn in turns],
        disturbance=measured.disturbance | {"latency": disturbance.counters()},
    )
