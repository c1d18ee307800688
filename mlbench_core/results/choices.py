"""An arm in two groups that differ in one respect: a GPU or the CPU, several devices or one, a precision, a batch size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Literal

from attrs import evolve, frozen

from mlbench_core.devices import kind_of, number_of, one_of
from mlbench_core.record import Record
from mlbench_core.results.groups import Group, arm_label, group_of, grouped
from mlbench_core.stats.ratio import Ratio, ratio

Respect = Literal["device", "devices", "precision", "batch size"]
FP32 = "fp32"
Speeds = Mapping[int, float]
"""Samples per second by block: of each process the batch over the median of its steps."""


@frozen(kw_only=True)
class Choice:
    """What an arm gains in one group over another. gain: the ratio of its training speeds (samples per second), block by block,
    with its interval. by_block: that ratio in each block."""

    respect: Respect
    arm: str
    group: Group
    base: Group
    gain: Ratio
    by_block: Mapping[int, float]

    @property
    def devices(self) -> float:
        """How many times as many devices the group has as its base."""
        return number_of(self.group.device) / number_of(self.base.device)

    @property
    def efficiency(self) -> Ratio:
        """The gain per device: 1 is linear scaling."""
        part = self.devices
        low, high = (None if end is None else end / part for end in (self.gain.low, self.gain.high))
        return evolve(self.gain, value=self.gain.value / part, low=low, high=high)


def choices(records: Iterable[Record], confidence: float) -> tuple[Choice, ...]:
    """Every choice that the training trials allow, in the order of the records."""
    trained = [record for record in records if record.trial.task == "train" and record.measured.values]
    speeds = {
        key: {record.trial.block: record.trial.batch_size / record.seconds_per_step() for record in together}
        for key, together in grouped(trained, lambda r: (group_of(r.trial), _arm(r))).items()
    }
    groups = list(dict.fromkeys(group for group, _ in speeds))
    first = FP32 if any(group.precision == FP32 for group in groups) else groups[0].precision if groups else ""
    smallest = {alike: min(g.batch_size for g in found) for alike, found in grouped(groups, _but_size).items()}
    found = []
    for (group, arm), mine in speeds.items():
        for respect, bases in _bases(group, first, smallest[_but_size(group)]).items():
            base = next((each for each in bases if (each, arm) in speeds), None)
            if base is None:
                continue
            theirs = speeds[base, arm]
            both = {block: speed / theirs[block] for block, speed in mine.items() if block in theirs}
            if both:
                gain = ratio([math.log(value) for value in both.values()], confidence)
                found.append(Choice(respect=respect, arm=arm, group=group, base=base, gain=gain, by_block=both))
    return tuple(found)


def _arm(record: Record) -> str:
    return arm_label(record.trial)


def _bases(group: Group, precision: str, smallest: int) -> dict[Respect, list[Group]]:
    """By respect, the groups that a group may be held against, the first of which that the arm ran in is taken.

    precision: the one that all others are held against. smallest: batch size of the groups that are alike but for it.
    """
    found: dict[Respect, list[Group]] = {}
    if number_of(group.device) > 1:
        one, share = evolve(group, device=one_of(group.device)), group.batch_size // number_of(group.device)
        # As many samples per device first: that is how training is scaled out. Else the same batch, shared.
        found["devices"] = [evolve(one, batch_size=share), one]
        return found
    if kind_of(group.device) != "cpu":
        found["device"] = [evolve(group, device="cpu")]
    if group.precision != precision:
        found["precision"] = [evolve(group, precision=precision)]
    if group.batch_size != smallest:
        found["batch size"] = [evolve(group, batch_size=smallest)]
    return found


def _but_size(group: Group) -> Group:
    return evolve(group, batch_size=0)


def efficiencies(found: Iterable[Choice]) -> dict[tuple[Group, str, int], float]:
    """Scaling efficiency by group, arm and block: the speed per device over that of one device in the same block."""
    return {
        (choice.group, choice.arm, block): gain / choice.devices
        for choice in found
        if choice.respect == "devices"
        for block, gain in choice.by_block.items()
    }
