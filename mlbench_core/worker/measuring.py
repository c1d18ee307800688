"""First step, warm-up, values, and what tells whether the values can be trusted: the same for both tasks."""

from __future__ import annotations

import itertools
from functools import partial
from time import perf_counter
from typing import Any

from attrs import evolve

from mlbench_core.trial import Measured
from mlbench_core.worker import memory, strain, timing
from mlbench_core.worker.stage import Stage
from mlbench_core.worker.trampoline import Asking


def measure(stage: Stage, session: Any, loop: timing.Loop, measured: Measured) -> Asking[Measured]:
    """First step, warm-up, values, and what tells whether the values can be trusted."""
    thresholds = stage.job.trial.measure
    with stage.phase("first_step"):
        first = yield partial(loop.run, 1)
    with stage.phase("warmup"):
        calibration, settled = yield from timing.warm_up(loop, thresholds, stage.job.calibration)
    in_use: list[int] = []
    compiled, strained = _compilations(stage, session), strain.counters()
    with stage.phase("measure"):
        turns = yield from timing.measure_values(
            loop,
            calibration.steps_per_value,
            thresholds,
            stage.turn,
            lambda: in_use.extend(_in_use(stage, session)),
        )
    strained, now_compiled = strain.since(strained), _compilations(stage, session)
    with stage.phase("read_back"):
        read_back = _read_back(stage, session, loop, calibration.steps_per_value)
    values = list(itertools.chain(*turns))
    if stage.job.calibration is not None:
        settled = timing.settled_while_measured(values, thresholds)
    return evolve(
        measured,
        first_step_s=first,
        calibration=calibration,
        values=values,
        turns=[len(turn) for turn in turns],
        settled=settled,
        compilations=None if now_compiled is None or compiled is None else now_compiled - compiled,
        memory_during=in_use,
        read_back_s=read_back,
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
