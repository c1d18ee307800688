"""What arithmetic with a record takes for granted. A run never writes otherwise; an edited file may."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from operator import attrgetter

from attrs import fields

from mlbench_core.record import Epoch, Record, Timeline
from mlbench_core.thresholds import Measure

Numbers = Sequence[float | int]

ABOVE_ZERO = ("measured.values", "measured.latencies", "measured.step_latencies")
LISTS = (
    "measured.turns", "measured.query_turns", "measured.step_dispatches", "measured.memory_during",
    "observed.device_peaks_bytes", "observed.timeline.seconds", "observed.timeline.host_bytes",
    "observed.timeline.device_bytes", "observed.timeline.gpu_pct",
)  # fmt: skip
SINGLE = (
    "trial.block", "measured.num_parameters", "measured.flops_per_sample", "measured.first_step_s", "measured.read_back_s",
    "measured.model_size_bytes", "measured.peak_flops", "observed.wall_s", "observed.host_average_bytes",
    "observed.device_average_bytes", "observed.device_peak_bytes", "observed.gpu_utilization_pct",
)  # fmt: skip
# Every record of a file that may hold 100,000 is looked at: one call fetches all fields of a kind.
_above_zero, _lists, _single = attrgetter(*ABOVE_ZERO), attrgetter(*LISTS), attrgetter(*SINGLE)
_measure = attrgetter(*(each.name for each in fields(Measure)))
_epoch = attrgetter(*(each.name for each in fields(Epoch) if each.name != "loss"))


def implausible(record: Record) -> str:
    """The first thing in the record that cannot have been measured, and where it stands; empty if there is none."""
    for place, numbers in _positive(record):
        if numbers and not _at_least(numbers, math.ulp(0.0)):
            return f"{place} must be above 0"
    for place, numbers in _not_negative(record):
        if numbers and not _at_least(numbers, 0.0):
            return f"{place} must not be negative"
    if not math.isfinite(sum(_measure(record.trial.measure))):
        return "trial.measure must hold finite numbers"
    if record.measured.values and record.measured.calibration is None:
        return "measured.calibration is missing, and there are values"
    return _uneven(record.observed.timeline)


def _at_least(numbers: Numbers, least: float) -> bool:
    """Whether all are finite and not below `least`."""
    return math.isfinite(sum(numbers)) and min(numbers) >= least


def _positive(record: Record) -> Iterator[tuple[str, Numbers]]:
    measured = record.measured
    yield "trial.batch_size", [record.trial.batch_size]
    yield "trial.num_nodes", [record.trial.num_nodes]
    if measured.calibration is not None:
        yield "measured.calibration.steps_per_value", [measured.calibration.steps_per_value]
    yield from zip(ABOVE_ZERO, _above_zero(record), strict=True)


def _not_negative(record: Record) -> Iterator[tuple[str, Numbers]]:
    measured = record.measured
    yield from zip(LISTS, _lists(record), strict=True)
    yield "measured.memory", [reading.bytes for reading in measured.memory]
    yield "measured.phases", list(measured.phases.values())
    for place, epoch in enumerate(measured.epochs):
        yield f"measured.epochs[{place}]", _epoch(epoch)
    values = _single(record)
    known = [value for value in values if value is not None]
    if not _at_least(known, 0.0):  # which one is asked only then
        yield from ((place, [value]) for place, value in zip(SINGLE, values, strict=True) if value is not None)


def _uneven(timeline: Timeline) -> str:
    samples = len(timeline.seconds)
    always, on_gpus = (timeline.phase, timeline.host_bytes), (timeline.device_bytes, timeline.gpu_pct)
    if any(len(column) != samples for column in always) or any(len(column) not in (0, samples) for column in on_gpus):
        return "observed.timeline must have columns as long as its seconds"
    return ""
