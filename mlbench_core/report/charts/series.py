"""What charts plot: each arm of each group with its values by block, their mean and the interval of that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from attrs import evolve, frozen

from mlbench_core.record import Record
from mlbench_core.report.charts.style import Look
from mlbench_core.results import Results
from mlbench_core.results.groups import Group, arm_label, group_of, grouped
from mlbench_core.stats.estimate import Estimate, estimate
from mlbench_core.trial import Task

Part = Literal["model", "device", "node", "batch_size", "precision", "dataset"]
PARTS: tuple[Part, ...] = ("model", "device", "node", "batch_size", "precision", "dataset")


@frozen(kw_only=True)
class Point:
    """One arm of one group with its positive values by block."""

    group: Group
    arm: str
    values: Mapping[int, float]

    @property
    def estimate(self) -> Estimate:
        """The geometric mean over the blocks, and its interval."""
        return estimate([*self.values.values()])


def points(results: Results, look: Look, task: Task, value: Callable[[Record], float | None]) -> list[Point]:
    """Each arm of each group with a positive value of its records."""
    found = []
    mine = (record for record in results.ordered if record.trial.task == task and record.status == "ok")
    for (group, arm), records in grouped(mine, lambda record: (group_of(record.trial), arm_of(record))).items():
        known = {r.trial.block: number for r in records if (number := value(r)) is not None and number > 0}
        if known and arm in look.styles:
            found.append(Point(group=group, arm=arm, values=known))
    return found


def arm_of(record: Record) -> str:
    """The label of a record's arm."""
    return arm_label(record.trial)


def over(point: Point, base: Point) -> Point | None:
    """The first over the second, block by block; None if no block has both."""
    both = {block: value / base.values[block] for block, value in point.values.items() if block in base.values}
    return evolve(point, values=both) if both else None


def names_of(groups: Iterable[Group], parts: Sequence[Part] = PARTS) -> dict[Group, str]:
    """The groups in as few words as tell them apart: each its model, and of the other parts those that differ among them; the
    data set only where something else does not say as much."""
    found = list(dict.fromkeys(groups))
    said = [part for part in parts if part == "model" or len({getattr(group, part) for group in found}) > 1]
    named, shorter = (_named(found, those) for those in (said, [part for part in said if part != "dataset"]))
    return shorter if len(set(shorter.values())) == len(set(named.values())) else named


def _named(groups: Iterable[Group], parts: Sequence[Part]) -> dict[Group, str]:
    return {group: ", ".join(_word(group, part) for part in parts) for group in groups}


def _word(group: Group, part: Part) -> str:
    return f"batch {group.batch_size}" if part == "batch_size" else str(getattr(group, part))
