"""Which numbers are doubted, and why: the flags of a trial, and those of an arm's processes together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean, median, stdev

from mlbench_core.devices import kind_of
from mlbench_core.record import Flag, Level, Measured, Record
from mlbench_core.results.groups import Group, arm_label, group_of, grouped
from mlbench_core.stats import shape
from mlbench_core.thresholds import Limits

SHORT_S = 0.2
"""A shorter phase is as long, where events are counted per second: one or two of them would say nothing."""


def trial_flags(record: Record, limits: Limits) -> list[Flag]:
    """The flags of one process. A fault is named once: a process that compiled while it was measured, or never steady,
    is not also called unsteady, spread, drifting or bimodal."""
    measured = record.measured
    if not measured.values or measured.calibration is None:
        return []
    return [
        *_clock(measured, limits),
        *(_compilation(measured) or _steadiness(measured, limits)),
        *_first_step(measured, limits),
        *_memory(measured, limits),
        *_system(record, limits),
    ]


FlagsOf = Callable[[Record], Sequence[Flag]]
"""`trial_flags` of a record, or what has been found by it before."""


def flags_by_arm(
    records: Iterable[Record], limits: Limits, flags_of: FlagsOf
) -> dict[tuple[Group, str], tuple[Flag, ...]]:
    """All flags of each arm of each group, those of its processes one by one and together."""
    arms = grouped(records, lambda r: (group_of(r.trial), arm_label(r.trial)))
    return {
        arm: (*(flag for record in found for flag in flags_of(record)), *arm_flags(found, limits))
        for arm, found in arms.items()
    }


def arm_flags(records: Iterable[Record], limits: Limits) -> list[Flag]:
    """The flags of one arm's processes together, one record per block: how far their medians are apart (pyperf's bounds)."""
    medians = [record.seconds_per_step() for record in records if record.measured.values]
    if len(medians) < 3:
        return []
    mean = fmean(medians)
    deviation, extreme = stdev(medians) / mean, max(abs(value / mean - 1) for value in medians)
    if deviation < limits.processes_deviation and extreme < limits.processes_extreme:
        return []
    text = f"{len(medians)} processes deviate by {deviation:.0%}, the furthest by {extreme:.0%}"
    return [Flag("processes differ", "unstable", text)]


def _clock(measured: Measured, limits: Limits) -> Iterable[Flag]:
    middle = median(measured.values)
    if middle < limits.value_seconds:
        yield Flag("short values", "unstable", f"a value takes {1e3 * middle:.2g} ms: the clock weighs in")
    if measured.read_back_s is not None and measured.read_back_s > limits.unsynchronised * middle:
        yield Flag(
            "not synchronised",
            "rejected",
            f"a result took {1e3 * measured.read_back_s:.3g} ms to read after synchronize had returned, a value "
            f"{1e3 * middle:.3g} ms: the plugin's synchronize does not wait",
        )


def _steadiness(measured: Measured, limits: Limits) -> Iterable[Flag]:
    values = measured.values
    if measured.steady is False:
        yield Flag("no steady state", "unstable", "no two windows of values were alike")
        return
    width = shape.spread(values)
    if width > limits.spread_unstable:
        yield Flag("spread", "unstable", f"the interquartile range is {width:.0%} of the median")
    elif width > limits.spread_warn:
        yield Flag("spread", "warn", f"the interquartile range is {width:.0%} of the median")
    change = shape.drift(values)
    if abs(change) > limits.drift:
        yield Flag("drift", "unstable", f"values changed by {change:+.0%} from the first to the last")
        return
    separation, distance = shape.modes(values)
    if separation > limits.bimodal and distance > limits.bimodal_share:
        yield Flag("bimodal", "unstable", f"values fall into two clusters {distance:.0%} apart")


def _first_step(measured: Measured, limits: Limits) -> Iterable[Flag]:
    if measured.first_step_s is None or measured.calibration is None:
        return
    ratio = measured.first_step_s / (median(measured.values) / measured.calibration.steps_per_value)
    if ratio > limits.first_step:
        yield Flag(
            "slow first step", "note", f"the first step took {measured.first_step_s:.3g} s, {ratio:,.0f} steady ones"
        )


def _compilation(measured: Measured) -> list[Flag]:
    if not measured.compilations:
        return []
    return [Flag("compiled while measuring", "unstable", f"{measured.compilations} compilations fell into the values")]


def _memory(measured: Measured, limits: Limits) -> Iterable[Flag]:
    size, share = shape.growth(measured.memory_during)
    if size > limits.leak_bytes and share > limits.leak:
        yield Flag("memory grows", "warn", f"by {size / 1e6:,.0f} MB, {share:.0%}, while measuring: a leak?")


WHILE = {
    "measure": "while measuring",
    "latency": "while answering queries",
    "step_latency": "while timing single steps",
    "train": "while training",
}


def _system(record: Record, limits: Limits) -> Iterable[Flag]:
    on_cpu = kind_of(record.trial.device) == "cpu"
    for phase, counters in record.measured.disturbance.items():
        # Training for real takes minutes, and what is compared is not taken from it.
        level: Level = "warn" if phase == "train" else "unstable"
        for name, text in _disturbed(counters, limits, on_cpu):
            yield Flag(name, level, f"{WHILE.get(phase, f'in {phase}')}, {text}")
    gpu = record.observed.gpu
    if gpu.get("thermal_slowdown", 0.0) > 0:
        yield Flag("thermal slowdown", "unstable", f"in {gpu['thermal_slowdown']:.0%} of the GPU's samples")
    if gpu.get("other_processes", 0.0) > 0:
        yield Flag("GPU shared", "unstable", f"{gpu['other_processes']:.0f} other processes were on it")


def _disturbed(counters: Mapping[str, float], limits: Limits, on_cpu: bool) -> Iterable[tuple[str, str]]:
    """What others took, and what the system held back: (name, text) of each."""
    throttled, swapped = counters.get("cgroup_throttled_s", 0.0), counters.get("swapped_bytes", 0.0)
    others = list(_taken(counters, limits))
    yield from (("disturbed", text) for text in others)
    if throttled > 0:
        yield "throttled", f"the control group's CPU limit held it back for {throttled:.2g} s"
    if on_cpu and not others and not throttled > 0:
        yield from (("disturbed", text) for text in _not_running(counters, limits))
    if swapped > 0:
        yield "swapping", f"{swapped / 1e6:,.0f} MB went to swap space"


def _taken(counters: Mapping[str, float], limits: Limits) -> Iterable[str]:
    """Who took how much of the worker's CPUs, if that is too much."""
    wall, cpus, own = (counters.get(name, 0.0) for name in ("wall_s", "cpus", "own_cpu_s"))
    for name, who in (("others_cpu_s", "other processes"), ("steal_s", "others on this virtual machine's host")):
        taken = counters.get(name, 0.0)
        surely = taken - counters.get("resolution_s", 0.0)
        crowded = surely > limits.others_one_cpu * wall and wall * cpus - own - taken < limits.others_one_cpu * wall
        if cpus and surely > 0 and (surely > limits.others_cpu * wall * cpus or crowded):
            yield (
                f"{who} used {taken / wall:.1f} of its {cpus:.0f} CPUs "
                f"(it used {own / wall:.1f}, and was preempted {counters.get('preempted', 0.0):,.0f} times)"
            )


def _not_running(counters: Mapping[str, float], limits: Limits) -> Iterable[str]:
    """For systems that do not show who else is on their CPUs, as containers may not: that somebody was."""
    wall, own, preempted = (counters.get(name, 0.0) for name in ("wall_s", "own_cpu_s", "preempted"))
    if preempted > limits.preempted * max(wall, SHORT_S) and own < (1 - limits.not_running) * wall:
        yield (
            f"it ran for {own / wall:.0%} of the time and was preempted {preempted:,.0f} times: something that this system "
            "does not show took its CPUs"
        )
