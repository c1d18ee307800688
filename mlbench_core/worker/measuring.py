"""First step, warm-up, values, and what tells whether the values can be trusted: the same for both tasks."""

from __future__ import annotations

import itertools
import math
from functools import partial
from time import perf_counter
from typing import Any

from attrs import evolve

from mlbench_core.record import Measured
from mlbench_core.worker import memory, timing
from mlbench_core.worker.disturbance import Disturbance
from mlbench_core.worker.setup import TrialSetup
from mlbench_core.worker.trampoline import Asking


def measure(setup: TrialSetup, session: Any, loop: timing.Loop, measured: Measured) -> Asking[Measured]:
    """First step, warm-up, values, and what tells whether the values can be trusted."""
    thresholds = setup.job.trial.measure
    with setup.phase("first_step"):
        first = yield partial(loop.run, 1)
    with setup.phase("warmup"):
        calibration, steady = yield from timing.warm_up(loop, thresholds, setup.job.calibration)
    in_use: list[int] = []
    compiled, disturbance = _compilations(setup, session), Disturbance()
    with setup.phase("measure"):
        turns = yield from timing.measure_values(
            loop,
            calibration.steps_per_value,
            thresholds,
            setup.turn,
            lambda: in_use.extend(_in_use(setup, session)),
            disturbance,
        )
    now_compiled = _compilations(setup, session)
    with setup.phase("read_back"):
        read_back = _read_back(setup, session, loop, calibration.steps_per_value)
    values = list(itertools.chain(*turns))
    if setup.job.calibration is not None:
        steady = timing.steady_while_measured(values, thresholds)
    return evolve(
        measured,
        first_step_s=first,
        calibration=calibration,
        values=values,
        turns=[len(turn) for turn in turns],
        steady=steady,
        compilations=None if now_compiled is None or compiled is None else now_compiled - compiled,
        memory_during=in_use,
        read_back_s=read_back,
        disturbance={"measure": disturbance.counters()},
    )


def _compilations(setup: TrialSetup, session: Any) -> int | None:
    return setup.framework.compilations(session) if "compilations" in setup.framework.hooks else None


def _in_use(setup: TrialSetup, session: Any) -> list[int]:
    """Bytes in use now: live tensors on an accelerator, resident memory on the CPU; nothing where it cannot be known."""
    if not setup.plan.accelerated:
        size = memory.resident()
        return [] if size is None else [size]
    probe = setup.framework.memory_probe(session) if "memory_probe" in setup.framework.hooks else []
    return [reading.bytes for reading in probe if reading.name == "live_tensors"]


READ_TRIES = 3
PROMPT = 0.05
"""Share of a try that reading may take for no other try to be made: half of what `Limits.unsynchronised` allows."""


def _read_back(setup: TrialSetup, session: Any, loop: timing.Loop, steps: int) -> float:
    """Seconds that a result still takes to reach the host once synchronize has returned, after a whole value's steps.

    The least of up to three tries: what has taken this process's CPU away in one is seldom there in the next, and a synchronize
    that does not wait leaves the wait to each.
    """
    least = math.inf
    for _ in range(READ_TRIES):
        handle = None
        start = perf_counter()
        for i in range(steps):
            handle = loop.step(session, loop.batches[i % len(loop.batches)])
        setup.framework.synchronize(session, handle)
        synchronized = perf_counter()
        setup.framework.to_numpy(session, handle)
        end = perf_counter()
        least = min(least, end - synchronized)
        if end - synchronized <= PROMPT * (end - start):
            break
    return least
