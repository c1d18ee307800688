"""What is compared: each metric as a cost, of which less is better, taken from a record."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from statistics import median

from attrs import frozen

from mlbench_core.record import Record
from mlbench_core.results.metrics import energy_j, peak_memory, power_w
from mlbench_core.stats import shape
from mlbench_core.stats.percentiles import percentile
from mlbench_core.stats.time_to import time_to
from mlbench_core.stats.verdict import Verdict
from mlbench_core.trial import Task

Turns = list[list[float]]
"""A process's costs by turn. What was measured once per process is one turn of one value; empty: not measured."""

TIME_TO_STEPS = 1_000
"""Training steps of the metric TIME_TO."""


@frozen(kw_only=True)
class Metric:
    """Something that arms are compared by. costs: of a record of `task`, in `unit`. primary: whether its verdict answers the
    run's main question, and blocks are added for it. better, worse: what an arm with the lower and the higher cost is."""

    name: str
    task: Task
    unit: str
    costs: Callable[[Record], Turns]
    primary: bool = False
    better: str = "faster than"
    worse: str = "slower than"
    alike: str = "as fast as"

    def word(self, verdict: Verdict) -> str:
        """A verdict on the first arm in this metric's words: "thriftier with memory" where it has the lower cost in bytes."""
        return {"faster": self.better, "slower": self.worse}.get(verdict, verdict).removesuffix(" than")


def by_turn(values: list[float], sizes: list[int]) -> Turns:
    """The values by turn, all in one where no sizes are known; turns without any are left out."""
    found: Iterator[float] = iter(values)
    return [part for size in sizes or [len(values)] if (part := list(itertools.islice(found, size)))]


def _steps(record: Record) -> Turns:
    measured = record.measured
    steps = 1 if measured.calibration is None else measured.calibration.steps_per_value
    return by_turn([value / steps for value in measured.values], measured.turns)


def _queries(record: Record) -> Turns:
    return [[median(turn)] for turn in by_turn(record.measured.latencies, record.measured.query_turns)]


def _tail(record: Record) -> Turns:
    known = percentile(record.measured.latencies, 99.0)
    return [] if known is None else [[known.value]]


def _first_step(record: Record) -> Turns:
    return _once(record.measured.first_step_s)


def _time_to(record: Record) -> Turns:
    first = record.measured.first_step_s
    if first is None or not record.measured.values:
        return []
    return _once(time_to(TIME_TO_STEPS, first, record.seconds_per_step()))


def _peak_memory(record: Record) -> Turns:
    return _once(peak_memory(record))


def _energy(record: Record) -> Turns:
    watts = None if energy_j(record) is None else power_w(record)
    if watts is None or not record.measured.values:
        return []
    return _once(watts * record.seconds_per_step() / record.trial.batch_size)


def _spread(record: Record) -> Turns:
    return _once(shape.spread(record.measured.values)) if record.measured.values else []


def _idle(record: Record) -> Turns:
    busy = record.observed.gpu_utilization_pct
    return _once(1 / busy) if busy else []


def _once(value: float | None) -> Turns:
    return [[float(value)]] if value is not None and 0 < value < math.inf else []


TRAINING = Metric(name="training throughput", task="train", unit="s/step", costs=_steps, primary=True)
LATENCY = Metric(name="inference latency", task="infer", unit="s", costs=_queries, primary=True)
SERVING = Metric(name="inference throughput", task="infer", unit="s/step", costs=_steps)
TAIL = Metric(name="inference latency p99", task="infer", unit="s", costs=_tail)
FIRST_STEP = Metric(name="first step", task="train", unit="s", costs=_first_step)
TIME_TO = Metric(name=f"time to {TIME_TO_STEPS:,} training steps", task="train", unit="s", costs=_time_to)
MEMORY = Metric(
    name="peak memory",
    task="train",
    unit="bytes",
    costs=_peak_memory,
    better="thriftier with memory than",
    worse="less thrifty with memory than",
    alike="as thrifty with memory as",
)
ENERGY = Metric(
    name="energy per trained sample",
    task="train",
    unit="J",
    costs=_energy,
    better="thriftier with energy than",
    worse="less thrifty with energy than",
    alike="as thrifty with energy as",
)
SPREAD = Metric(
    name="spread of training times",
    task="train",
    unit="interquartile range / median",
    costs=_spread,
    better="steadier than",
    worse="less steady than",
    alike="as steady as",
)
UTILIZATION = Metric(
    name="GPU utilisation in training",
    task="train",
    unit="1 / %",
    costs=_idle,
    better="busier on the GPU than",
    worse="less busy on the GPU than",
    alike="as busy on the GPU as",
)

METRICS = (TRAINING, LATENCY, SERVING, TAIL, FIRST_STEP, TIME_TO, MEMORY, ENERGY, SPREAD, UTILIZATION)
METRIC = {metric.name: metric for metric in METRICS}
"""By name: a comparison holds the name alone."""
