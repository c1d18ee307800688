"""Which numbers are doubted, and why: the flags of a trial, and those of an arm's processes together."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean, median, stdev

from mlbench_core.stats import shape
from mlbench_core.thresholds import Flags
from mlbench_core.trial import Flag, Measured, Record


def trial_flags(record: Record, limits: Flags) -> list[Flag]:
    """The flags of one process. A fault is named once: a process that compiled while it was measured, or never settled,
    is not also called unsteady, spread, drifting or bimodal."""
    measured = record.measured
    if not measured.values or measured.calibration is None:
        return []
    return [
        *_clock(measured, limits),
        *(_compilation(measured) or _steadiness(measured, limits)),
        *_first_step(measured, limits),
        *_memory(measured, limits),
        *_system(record),
    ]


def arm_flags(records: Iterable[Record], limits: Flags) -> list[Flag]:
    """The flags of one arm's processes together, one record per block: how far their medians are apart (pyperf's bounds)."""
    medians = [seconds_per_step(record) for record in records if record.measured.values]
    if len(medians) < 3:
        return []
    mean = fmean(medians)
    deviation, extreme = stdev(medians) / mean, max(abs(value / mean - 1) for value in medians)
    if deviation < limits.processes_deviation and extreme < limits.processes_extreme:
        return []
    text = f"{len(medians)} processes deviate by {deviation:.0%}, the furthest by {extreme:.0%}"
    return [Flag("processes differ", "unstable", text)]


def seconds_per_step(record: Record) -> float:
    """The process's own number: the median of its values over their steps. Raises ValueError for a record without values."""
    measured = record.measured
    if not measured.values or measured.calibration is None:
        raise ValueError(f"{record.trial.label} has no values")
    return median(measured.values) / measured.calibration.steps_per_value


def _clock(measured: Measured, limits: Flags) -> Iterable[Flag]:
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


def _steadiness(measured: Measured, limits: Flags) -> Iterable[Flag]:
    values = measured.values
    if measured.settled is False:
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


def _first_step(measured: Measured, limits: Flags) -> Iterable[Flag]:
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


def _memory(measured: Measured, limits: Flags) -> Iterable[Flag]:
    size, share = shape.growth(measured.memory_during)
    if size > limits.leak_bytes and share > limits.leak:
        yield Flag("memory grows", "warn", f"by {size / 1e6:,.0f} MB, {share:.0%}, while measuring: a leak?")


def _system(record: Record) -> Iterable[Flag]:
    strain, gpu = record.measured.strain, record.observed.gpu
    throttled = strain.get("cgroup_throttled_s", 0.0)
    if throttled > 0:
        yield Flag("throttled", "unstable", f"the control group's CPU limit held it back for {throttled:.2g} s")
    if strain.get("swapped_bytes", 0.0) > 0:
        yield Flag("swapping", "unstable", f"{strain['swapped_bytes'] / 1e6:,.0f} MB went to swap space")
    if gpu.get("thermal_slowdown", 0.0) > 0:
        yield Flag("thermal slowdown", "unstable", f"in {gpu['thermal_slowdown']:.0%} of the GPU's samples")
    if gpu.get("other_processes", 0.0) > 0:
        yield Flag("GPU shared", "unstable", f"{gpu['other_processes']:.0f} other processes were on it")
