"""The clock of a trial: how steps are timed.

One *value* is the time of k steps with one synchronisation at its end. Nothing inside the loop waits for the device: a step
returns a handle, and only `synchronize` waits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

from attrs import frozen

from mlbench_core.config import Measure

Step = Callable[[Any, Any], Any]
Synchronize = Callable[[Any, Any], bool]


@frozen
class Loop:
    """A step bound to its session and a ring of batches that are already on the device."""

    step: Step
    synchronize: Synchronize
    session: Any
    batches: Sequence[Any]

    def run(self, steps: int) -> float:
        """Seconds for `steps` steps and the one synchronisation after the last."""
        step, session, batches = self.step, self.session, self.batches
        size = len(batches)
        handle = None
        start = perf_counter()
        for i in range(steps):
            handle = step(session, batches[i % size])
        self.synchronize(session, handle)
        return perf_counter() - start

    def each(self, steps: int) -> list[float]:
        """Seconds of each of `steps` steps, synchronised after every one: latency, not throughput."""
        step, synchronize, session, batches = self.step, self.synchronize, self.session, self.batches
        size = len(batches)
        seconds = []
        for i in range(steps):
            start = perf_counter()
            synchronize(session, step(session, batches[i % size]))
            seconds.append(perf_counter() - start)
        return seconds


def warm_up(loop: Loop, measure: Measure) -> float:
    """Runs at least `warmup_steps` steps and `warmup_seconds`; returns the seconds of one step at the end of it."""
    start = perf_counter()
    done, chunk, per_step = 0, 1, math.inf
    while done < measure.warmup_steps or perf_counter() - start < measure.warmup_seconds:
        per_step = loop.run(chunk) / chunk
        done += chunk
        # Larger chunks as it goes on, each of about a value's length, so that the last one is a fair estimate.
        chunk = max(1, min(2 * chunk, math.ceil(measure.value_seconds / per_step)))
    return per_step if done else loop.run(1)


def calibrate(loop: Loop, per_step: float, measure: Measure) -> int:
    """k: the number of steps that takes at least `value_seconds`, tried out from an estimate of one step's seconds on."""
    steps = max(1, math.ceil(measure.value_seconds / per_step))
    for _ in range(5):  # each try more than halves what is missing; a machine that keeps changing is not waited for
        seconds = loop.run(steps)
        if seconds >= measure.value_seconds:
            break
        steps = max(steps + 1, math.ceil(1.1 * steps * measure.value_seconds / seconds))
    return steps


def measure_values(loop: Loop, steps: int, measure: Measure) -> list[float]:
    """Values in seconds: at least `min_values` and `min_seconds` of them, at most `max_seconds`."""
    values: list[float] = []
    start = perf_counter()
    while True:
        values.append(loop.run(steps))
        elapsed = perf_counter() - start
        if elapsed >= measure.max_seconds or (len(values) >= measure.min_values and elapsed >= measure.min_seconds):
            return values
