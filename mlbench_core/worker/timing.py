"""The clock of a trial: how steps are timed.

One *value* is the time of k steps with one synchronisation at its end. Nothing inside the loop waits for the device: a step
returns a handle, and only `synchronize` waits. Functions that return `Asking` have their steps called by the trampoline.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from statistics import fmean, stdev
from time import perf_counter
from typing import Any

from attrs import frozen

from mlbench_core.thresholds import Measure
from mlbench_core.trial import Calibration
from mlbench_core.worker.disturbance import Disturbance
from mlbench_core.worker.steadiness import steady, steady_somewhere
from mlbench_core.worker.trampoline import Asking

Step = Callable[[Any, Any], Any]
Synchronize = Callable[[Any, Any], bool]
Turn = Callable[[], None]
"""Waits until the other arms of the cell have had their turn. Caches are cold then and threads asleep: on a CPU the first value
of a turn was 4 to 7 % slow, the second no longer."""
QUERY_TURNS = 10
"""Turns in which an arm answers its queries."""


@frozen(kw_only=True)
class Loop:
    """A step bound to its session and a ring of batches that are already on the device.

    mode: makes the context that a run of steps is made in, once for all of them.
    """

    step: Step
    synchronize: Synchronize
    session: Any
    batches: Sequence[Any]
    mode: Callable[[], AbstractContextManager[Any]] = nullcontext

    def run(self, steps: int) -> float:
        """Seconds for `steps` steps and the one synchronisation after the last."""
        step, session, batches = self.step, self.session, self.batches
        size = len(batches)
        handle = None
        with self.mode():
            start = perf_counter()
            for i in range(steps):
                handle = step(session, batches[i % size])
            self.synchronize(session, handle)
            return perf_counter() - start

    def each(self, steps: int, max_seconds: float = math.inf) -> tuple[list[float], list[float]]:
        """At most `steps` steps, synchronised after every one: (seconds of each, seconds until its call returned).

        This is latency, not throughput: nothing is shared between steps, `mode` neither. Ends after `max_seconds`.
        """
        step, synchronize, session, batches = self.step, self.synchronize, self.session, self.batches
        size = len(batches)
        seconds: list[float] = []
        dispatches: list[float] = []
        end = perf_counter() + max_seconds
        for i in range(steps):
            start = perf_counter()
            handle = step(session, batches[i % size])
            returned = perf_counter()
            synchronize(session, handle)
            done = perf_counter()
            seconds.append(done - start)
            dispatches.append(returned - start)
            if done > end:
                break
        return seconds, dispatches


def warm_up(loop: Loop, measure: Measure, known: Calibration | None) -> Asking[tuple[Calibration, bool | None]]:
    """Steps that do not count, until the process is steady: (k and the steps it took, whether it became steady).

    At least `warmup_steps` and `warmup_seconds`; then k is calibrated, and values are taken until two windows of them are
    alike, or `steady_limit` or `max_seconds` is is_steady. An arm whose first block has been `known` does the same number of
    steps without looking: then steadiness is judged on what is measured, and None is returned here.
    """
    if known is not None:
        yield partial(loop.run, known.warmup_steps)
        return known, None
    start = perf_counter()
    done, chunk, per_step = 0, 1, math.inf
    while done < measure.warmup_steps or perf_counter() - start < measure.warmup_seconds:
        per_step = (yield partial(loop.run, chunk)) / chunk
        done += chunk
        # Larger chunks as it goes on, each of about a value's length, so that the last one is a fair estimate.
        chunk = max(1, min(2 * chunk, math.ceil(measure.value_seconds / per_step)))
    if not done:
        per_step = yield partial(loop.run, 1)
    k, tried = yield from calibrate(loop, per_step, measure)
    done += tried
    values: list[float] = []
    window, is_steady = measure.steady_window, None
    if measure.steady_limit:
        is_steady, end = False, perf_counter() + measure.max_seconds
        while not is_steady and len(values) < max(measure.steady_limit, 2 * window) and perf_counter() < end:
            values.append((yield partial(loop.run, k)))
            is_steady = len(values) >= 2 * window and steady(values[-2 * window : -window], values[-window:])
    return Calibration(k, max(1, done + k * len(values))), is_steady


def calibrate(loop: Loop, per_step: float, measure: Measure) -> Asking[tuple[int, int]]:
    """(k, steps done): the number of steps that takes at least `value_seconds`, tried out from an estimate of one step on."""
    steps = max(1, math.ceil(measure.value_seconds / per_step))
    done = 0
    for _ in range(5):  # each try more than halves what is missing; a machine that keeps changing is not waited for
        seconds = yield partial(loop.run, steps)
        done += steps
        if seconds >= measure.value_seconds:
            break
        steps = max(steps + 1, math.ceil(1.1 * steps * measure.value_seconds / seconds))
    return steps, done


def measure_values(
    loop: Loop,
    steps: int,
    measure: Measure,
    turn: Turn | None,
    after: Callable[[], None] = lambda: None,
    disturbance: Disturbance | None = None,
) -> Asking[list[list[float]]]:
    """Values in seconds by turn, of `steps` steps each; `after` is called behind each, outside the clock.

    Ends with `min_values` values and `min_seconds`, or early when they agree to within `early_deviation`, or at `max_seconds`.
    turn: called before the first value and whenever `turn_seconds` are over; a first value that does not count follows it.
    Without it all values are one turn. disturbance: counts while values are taken, and not while others have their turn.
    """
    disturbance = disturbance or Disturbance()
    turns: list[list[float]] = []
    values: list[float] = []
    measured = 0.0
    while True:
        if not turns or (turn and sum(turns[-1]) >= measure.turn_seconds):
            disturbance.pause()
            turns.append([])
            if turn:
                turn()
                yield partial(loop.run, steps)
            disturbance.resume()
        values.append((yield partial(loop.run, steps)))
        turns[-1].append(values[-1])
        measured += values[-1]
        after()
        if measured >= measure.max_seconds or (len(values) >= measure.min_values and measured >= measure.min_seconds):
            break
        if measured >= measure.early_seconds and len(values) >= max(2, measure.early_values):
            mean = fmean(values)
            if stdev(values, mean) < measure.early_deviation * mean:
                break
    disturbance.pause()
    return turns


def answer_queries(
    loop: Loop, queries: int, steps: int, turn: Turn | None, disturbance: Disturbance | None = None
) -> Asking[list[list[float]]]:
    """Seconds of each query by turn, one at a time. turn: called before each tenth, and `steps` that do not count follow it.
    Without it all queries are one turn. disturbance: counts while queries are answered."""
    disturbance = disturbance or Disturbance()
    if turn is None:
        disturbance.resume()
        seconds, _ = yield partial(loop.each, queries)
        disturbance.pause()
        return [seconds]
    turns: list[list[float]] = []
    for part in range(1, QUERY_TURNS + 1):
        turn()
        yield partial(loop.run, steps)
        disturbance.resume()
        seconds, _ = yield partial(loop.each, queries * part // QUERY_TURNS - sum(map(len, turns)))
        disturbance.pause()
        turns.append(seconds)
    return turns


def steady_while_measured(values: Sequence[float], measure: Measure) -> bool | None:
    """For a process whose warm-up was not watched: whether any two neighbouring windows of its values are at one level."""
    if not measure.steady_limit:
        return None
    return steady_somewhere(values, min(measure.steady_window, len(values) // 2))
