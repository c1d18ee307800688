"""`batch_sizes: auto`: the largest batch that each arm trains with, and the one at which the arms of a group are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import evolve, frozen

from mlbench_core.devices import kind_of, number_of
from mlbench_core.record import LargestBatch, Record, Status
from mlbench_core.results.groups import Group, group_of, grouped
from mlbench_core.thresholds import Measure
from mlbench_core.trial import AUTO, Trial
from mlbench_core.worker.failure import LESS

FIRST = 8
"""Samples per device of the first probe, which is doubled (own): from here on all sizes above 64 are multiples of 8, of which
matrix units make the most."""
RESOLUTION = 8
"""Bisection ends once what fits and what does not are an eighth of the former apart (own): at most three more probes, each a
process of its own."""
HOST_SHARE = 0.5
"""Of the memory that is available on the host, what the arms of a group on the CPU may take together (own): a machine without
memory stops whoever works on it, and the kernel may end another process than the worker."""
PROBE = Measure(
    warmup_steps=1,
    warmup_seconds=0.0,
    steady_limit=0,
    value_seconds=0.0,
    min_values=1,
    min_seconds=0.0,
    latency_steps=1,
)
"""A probe is a trial like any other, whose measuring is over after a handful of steps."""

BY_SIZE: frozenset[Status] = frozenset({"out-of-memory", "crashed", "timeout"})
"""How a probe may end because of its size: after any other bad ending of the first one no smaller size is tried."""

Probe = Callable[[int], Record]
"""Trains a few steps with so many samples in a worker of its own."""


@frozen
class Found:
    """What was found of an arm: the trial, whose batch size is still `AUTO`, and its largest batch."""

    arm: Trial
    largest: LargestBatch


def probe_of(arm: Trial, samples: int) -> Trial:
    """The trial that finds out whether an arm trains with so many samples: like those of later blocks, it only measures.
    That keeps more batches on the device (`worker.tasks.RING`) than the real training of the first block does."""
    return evolve(arm, batch_size=samples, block=1, num_epochs=0, measure=PROBE)


def largest(arm: Trial, probe: Probe, samples: int, room: Callable[[Record], float]) -> LargestBatch:
    """The largest batch of an arm, by doubling and bisection.

    samples: of the data set. room: bytes of the host that the arm may take, asked with the record of a probe. On the CPU a size
    is tried only if there is room for it, should memory grow as the batch does.
    """
    devices = number_of(arm.device) * arm.num_nodes
    most = samples // devices
    if most == 0:
        return LargestBatch(size=None, reason=f"{samples} samples are fewer than the devices that share them")
    low, high, size = 0, most, min(FIRST, most)  # per device: low fits, and high does not once something has failed
    failed: Record | None = None
    while low < most if failed is None else high - low > max(1, low // RESOLUTION):
        record = probe(size * devices)
        if record.status == "ok":
            low = size
        else:
            high, failed = size, record
            if low == 0 and record.status not in BY_SIZE:
                return LargestBatch(size=None, failed=size * devices, status=record.status, reason=record.reason)
        size = min(2 * low, most) if failed is None else (low + high) // 2
        if kind_of(arm.device) == "cpu" and failed is None and size > low:
            taken, allowed = _host_peak(record, devices), room(record)
            if taken is None or taken * size / low > allowed:
                return LargestBatch(size=low * devices, reason=_crowded(size * devices, allowed, taken))
    found = LargestBatch(size=low * devices or None, reason="it is as large as the data set")
    if failed is None:
        return found
    return evolve(found, failed=high * devices, status=failed.status, reason=failed.reason.replace(f"; {LESS}", ""))


def _host_peak(record: Record, devices: int) -> int | None:
    """Bytes, with those of the processes that other devices may have, each taken to be as large as the worker."""
    return next((devices * each.bytes for each in record.measured.memory if each.name == "host_peak"), None)


def _crowded(size: int, allowed: float, taken: int | None) -> str:
    if taken is None:
        return "this system does not say how much memory a process takes"
    return (
        f"{size} might take more of the host's memory than the {allowed / 1e9:.2g} GB that it may, as {taken / 1e9:.2g} GB "
        "are taken now"
    )


def room_of(facts: Mapping[str, Any], arms: int) -> float:
    """Bytes that each of so many arms may take on a machine with these facts; 0 if it does not say what is available."""
    available = facts.get("memory_available_bytes") or 0
    limit = str(facts.get("cgroup_memory_max") or "")
    return HOST_SHARE * min(available, int(limit) if limit.isdecimal() else available) / arms


def missing(trials: Iterable[Trial], found: Iterable[Found]) -> dict[Group, list[Trial]]:
    """The arms whose largest batch is still to be found, by group."""
    known = {each.arm for each in found}
    groups = grouped(dict.fromkeys(trial.arm for trial in trials if trial.batch_size == AUTO), group_of)
    left = {group: [arm for arm in arms if arm not in known] for group, arms in groups.items()}
    return {group: arms for group, arms in left.items() if arms}


def with_batches(trials: Iterable[Trial], found: Iterable[Found]) -> list[Trial]:
    """The trials with a size for `AUTO` wherever all arms of the group are known. Two that are equal then are one."""
    trials = list(trials)
    sizes = _sizes(trials, found)
    return list(dict.fromkeys(_sized(trial, sizes) for trial in trials))


def by_arm(trials: Iterable[Trial], found: Iterable[Found]) -> dict[Trial, LargestBatch]:
    """What was found, by the arm as it is measured."""
    found = list(found)
    sizes = _sizes(trials, found)
    return {_sized(each.arm, sizes): each.largest for each in found}


def _sizes(trials: Iterable[Trial], found: Iterable[Found]) -> dict[Group, int]:
    """By group, the largest batch that fits in all of its arms, which are compared at one size. Those that fit none do not
    count: they will fail, and say why; where there are no others, that is with a sample per device."""
    known = {each.arm: each.largest.size for each in found}
    groups = grouped((trial.arm for trial in trials if trial.batch_size == AUTO), group_of)
    return {
        group: min([size for arm in arms if (size := known[arm])], default=number_of(group.device) * group.num_nodes)
        for group, arms in groups.items()
        if all(arm in known for arm in arms)
    }


def _sized(trial: Trial, sizes: Mapping[Group, int]) -> Trial:
    return evolve(trial, batch_size=sizes.get(group_of(trial), AUTO)) if trial.batch_size == AUTO else trial
