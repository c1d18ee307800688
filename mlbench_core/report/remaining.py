"""The time that a run still needs, from what trials like those to come have taken."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Mapping

from attrs import define, evolve, field

from mlbench_core.entry import shown_framework
from mlbench_core.results.groups import Group, group_of, grouped
from mlbench_core.trial import Trial


def likenesses(trial: Trial) -> tuple[Hashable, ...]:
    """What a trial has in common with others, the closest first: its other blocks that do the same, its arm, its framework,
    model and task, and being a trial."""
    return evolve(trial, block=0), trial.arm, (shown_framework(trial), trial.model, trial.task), None


@define
class _Side:
    """Trials that run side by side: arms of one group in one block. since: when they began. ended: seconds of those that have
    ended. expected: of those that run."""

    since: float
    ended: float = 0.0
    expected: float = 0.0
    running: dict[Trial, tuple[int, ...]] = field(factory=dict)


class Remaining:
    """Told when trials start and end; trials that run side by side take turns, so their own times add up. Other groups run
    elsewhere at the same time, where there are several places; each stays in one.

    Everything is worked out when a trial starts or ends: reading it, several times a second, costs next to nothing.
    """

    def __init__(
        self,
        trials: Iterable[Trial],
        clock: Callable[[], float] = time.monotonic,
        earlier: Mapping[Trial, float] | None = None,
        places: Mapping[str, int] | None = None,
    ) -> None:
        """earlier: seconds that trials took in earlier runs; those of this run count more. places: how many there are, by the
        kind of node whose trials they take; one where nothing is said."""
        self._clock, self._earlier, self._places = clock, earlier or {}, places or {}
        self._kinds: dict[Hashable, int] = {}
        """Likenesses by number, which is quicker to look up."""
        self._fixed: set[int] = set()
        """Kinds of which nothing is learned in this run: what earlier runs took."""
        self._to_come: dict[Trial, tuple[Group, tuple[int, ...]]] = {}
        self._sides: dict[tuple[int, Group], _Side] = {}
        self._took: dict[int, tuple[float, int]] = {}
        """Seconds and count of the trials of a kind that have ended."""
        self._left: dict[Group, float] = {}
        """Seconds of the trials to come."""
        self.extend(trials)

    def extend(self, trials: Iterable[Trial]) -> None:
        """More trials are to come."""
        for trial in trials:
            kinds: list[Hashable] = [*enumerate(likenesses(trial))]  # a later block's own kind is also its arm
            numbers = [self._number(kind) for kind in kinds]
            if self._earlier:
                numbers[2:2] = [self._before(trial)]
                numbers.append(self._before(None))
            self._to_come[trial] = group_of(trial), tuple(numbers)
        self._work_out()

    def _number(self, kind: Hashable) -> int:
        return self._kinds.setdefault(kind, len(self._kinds))

    def _before(self, trial: Trial | None) -> int:
        """The kind of what a trial took in earlier runs, or, of None, any that is known."""
        number = self._number(("earlier", trial and evolve(trial, block=0)))
        if trial is None:
            self._took[number] = sum(self._earlier.values()), len(self._earlier)
        elif trial in self._earlier:
            self._took[number] = self._earlier[trial], 1
        self._fixed.add(number)
        return number

    def start(self, trial: Trial) -> None:
        """A trial starts."""
        _, kinds = self._to_come.pop(trial, (None, ()))
        side = self._sides.setdefault((trial.block, group_of(trial)), _Side(self._clock()))
        side.running[trial] = kinds
        self._work_out()

    def end(self, trial: Trial, seconds: float) -> None:
        """A trial has ended after so many seconds of its own; 0 if it was not run at all."""
        key = trial.block, group_of(trial)
        side = self._sides.get(key, _Side(self._clock()))
        kinds = side.running.pop(trial, None) or self._to_come.pop(trial, (None, ()))[1]
        for kind in kinds if seconds else ():
            if kind not in self._fixed:
                total, count = self._took.get(kind, (0.0, 0))
                self._took[kind] = total + seconds, count + 1
        side.ended += seconds
        if not side.running:
            self._sides.pop(key, None)
        self._work_out()

    def left(self) -> float | None:
        """Seconds until all have ended; None before the first has."""
        if not self._took and (self._sides or self._to_come):
            return None
        now, left = self._clock(), dict(self._left)
        for (_, group), side in self._sides.items():
            rest = side.ended + side.expected - (now - side.since)
            left[group] = left.get(group, 0.0) + max(0.0, rest)
        by_kind = grouped(left.items(), lambda item: item[0].node)
        return max((self._shared(node, [rest for _, rest in mine]) for node, mine in by_kind.items()), default=0.0)

    def _shared(self, node: str, groups: list[float]) -> float:
        """Seconds until groups of one kind of node have ended, each of which stays in one of the places."""
        return max(sum(groups) / self._places.get(node, 1), *groups)

    def _work_out(self) -> None:
        self._left = {}
        for group, kinds in self._to_come.values():
            self._left[group] = self._left.get(group, 0.0) + self._expected(kinds)
        for side in self._sides.values():
            side.expected = sum(map(self._expected, side.running.values()))

    def _expected(self, kinds: tuple[int, ...]) -> float:
        total, count = next((self._took[kind] for kind in kinds if kind in self._took), (0.0, 1))
        return total / count
