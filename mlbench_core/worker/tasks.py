"""A trial from its first to its last phase: READ `run` to see what happens in a worker.

Setup, first step, warm-up and measuring are the same for both tasks; then `train` trains for real and `infer` answers queries.
"""

from __future__ import annotations

import itertools
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from attrs import evolve, field, frozen

from mlbench_core.architecture import Architecture, initial_weights
from mlbench_core.data import Arrays, batches, open_prepared
from mlbench_core.errors import MlbenchError, PluginError, UnsupportedError
from mlbench_core.hookspecs import Batch, FrameworkInfo
from mlbench_core.plugins import Framework, attribute, build_model, load_framework
from mlbench_core.trial import Epoch, Job, Measured, Plan, to_json
from mlbench_core.worker import memory, strain, timing
from mlbench_core.worker.peak import measure_peak
from mlbench_core.worker.training import accuracy, train

Emit = Callable[..., None]

RING = 8
"""Batches that take turns while measuring: enough that no step sees what the last one left in a cache of activations."""


@frozen
class Stage:
    """A trial that was set up: everything its phases need."""

    job: Job
    framework: Framework
    info: FrameworkInfo
    architecture: Architecture
    plan: Plan
    arrays: Arrays
    emit: Emit
    phases: dict[str, float] = field(factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Times a phase and tells the parent when it begins."""
        self.emit("phase", name=name)
        start = perf_counter()
        yield
        self.phases[name] = self.phases.get(name, 0.0) + perf_counter() - start


def run(job: Job, emit: Emit, started: float | None = None) -> Measured:
    """Runs the job's trial and returns what was measured.

    started: `perf_counter()` when this process began to import; what came before now is the phase "start". Raises
    UnsupportedError for what the framework does not offer, MlbenchError for results that cannot stand.
    """
    emit("phase", name="setup")
    start = perf_counter()
    stage, session = _set_up(job, emit)
    stage.phases["start"] = start - (start if started is None else started)
    stage.phases["setup"] = perf_counter() - start
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
    session, measured = finish(stage, session, measured)
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


def enter(name: str, plan: Plan) -> tuple[Framework, FrameworkInfo]:
    """The framework of this process and what it offers. The order matters: its environment first, then the framework itself."""
    framework = load_framework(name)
    if "worker_environment" in framework.hooks:
        os.environ.update(framework.worker_environment(plan) or {})
    return framework, framework.framework_info()


def _set_up(job: Job, emit: Emit) -> tuple[Stage, Any]:
    """Everything before the first step."""
    trial = job.trial
    arrays = open_prepared(job.data)
    architecture: Architecture = attribute(job.model.factory)(arrays.input_shape, arrays.num_classes)
    plan = Plan(
        device=trial.device,
        precision=trial.precision,
        execution=trial.execution,
        batch_size=trial.batch_size,
        optimizer=architecture.optimizer,
        threads=trial.threads,
        seed=trial.seed,
        task=trial.task,
    )
    framework, info = enter(trial.framework, plan)
    emit("info", info=to_json(info))
    plan = evolve(plan, execution=info.default_execution if trial.execution == "default" else trial.execution)
    problem = info.refusal(plan.precision, plan.execution)
    if problem:
        raise UnsupportedError(problem)
    model = build_model(framework, job.model, architecture, plan)
    session = framework.make_session(model, initial_weights(architecture, trial.seed), plan)
    return Stage(job, framework, info, architecture, plan, arrays, emit), session


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


def _measure(stage: Stage, session: Any, loop: timing.Loop, measured: Measured) -> Measured:
    """First step, warm-up, values, and what tells whether the values can be trusted."""
    measure = stage.job.trial.measure
    with stage.phase("first_step"):
        first = loop.run(1)
    with stage.phase("warmup"):
        calibration, settled = timing.warm_up(loop, measure, stage.job.calibration)
    in_use: list[int] = []
    compiled, strained = _compilations(stage, session), strain.counters()
    with stage.phase("measure"):
        values = timing.measure_values(
            loop, calibration.steps_per_value, measure, lambda: in_use.extend(_in_use(stage, session))
        )
    strained, now_compiled = strain.since(strained), _compilations(stage, session)
    if stage.job.calibration is not None:
        settled = timing.settled_while_measured(values, measure)
    return evolve(
        measured,
        first_step_s=first,
        calibration=calibration,
        values=values,
        settled=settled,
        compilations=None if now_compiled is None or compiled is None else now_compiled - compiled,
        memory_during=in_use,
        read_back_s=_read_back(stage, session, loop, calibration.steps_per_value),
        strain=strained,
    )


def _compilations(stage: Stage, session: Any) -> int | None:
    return stage.framework.compilations(session) if "compilations" in stage.framework.hooks else None


def _in_use(stage: Stage, session: Any) -> list[int]:
    """Bytes in use now: live tensors on an accelerator, resident memory on the CPU; nothing where it cannot be known."""
    if not stage.plan.accelerated:
        size = memory.resident()
        return [] if size is None else [size]
    probe = stage.framework.memory_probe(session) if "memory_probe" in stage.framework.hooks else []
    return [reading.bytes for reading in probe if reading.name == "live_tensors"]


def _read_back(stage: Stage, session: Any, loop: timing.Loop, steps: int) -> float:
    """Seconds that a result still takes to reach the host once synchronize has returned, after a whole value's steps."""
    handle = None
    for i in range(steps):
        handle = loop.step(session, loop.batches[i % len(loop.batches)])
    stage.framework.synchronize(session, handle)
    start = perf_counter()
    stage.framework.to_numpy(session, handle)
    return perf_counter() - start


def _place(stage: Stage, session: Any, source: Iterator[Batch], count: int) -> list[Any]:
    placed = [stage.framework.place_batch(session, batch) for batch in itertools.islice(source, count)]
    stage.framework.synchronize(session, placed[-1])
    return placed


def _train(stage: Stage, session: Any, measured: Measured) -> tuple[Any, Measured]:
    trial, framework, arrays = stage.job.trial, stage.framework, stage.arrays
    scratch = Path(stage.job.scratch)
    # Measuring trains the model; the real training must start from the same weights as everybody's, so keep them.
    start = framework.save(session, scratch / "start") if trial.block == 0 else None
    ring = _place(stage, session, batches(arrays.x_train, arrays.y_train, trial.batch_size, trial.seed, 0), RING)
    loop = timing.Loop(framework.train_step, framework.synchronize, session, ring)
    measured = _measure(stage, session, loop, measured)
    if start is None:
        return session, measured
    with stage.phase("step_latency"):
        latencies, dispatches = loop.each(trial.measure.latency_steps, trial.measure.latency_seconds)
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


def _infer(stage: Stage, session: Any, measured: Measured) -> tuple[Any, Measured]:
    trial, framework, arrays = stage.job.trial, stage.framework, stage.arrays
    source = batches(arrays.x_val, arrays.y_val, trial.batch_size, trial.seed, 0)
    ring = _place(stage, session, source, 8 * RING)
    loop = timing.Loop(framework.infer, framework.synchronize, session, ring)
    measured = _measure(stage, session, loop, measured)
    with stage.phase("latency"):
        latencies, _ = loop.each(trial.measure.queries)
    logits = framework.to_numpy(session, framework.infer(session, ring[0]))
    if not np.all(np.isfinite(logits)):
        raise MlbenchError("the logits of an untrained model are not finite")
    return session, evolve(measured, latencies=latencies)
