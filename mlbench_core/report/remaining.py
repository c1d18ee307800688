"""The time that a run still needs, from what trials like those to come have taken."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Mapping

from attrs import evolve

from mlbench_core.entry import shown_framework
from mlbench_core.trial import Trial


def likenesses(trial: Trial) -> tuple[Hashable, ...]:
    """What a trial has in common with others, the closest first: its other blocks that do the same, its arm, its framework,
    model and task, and being a trial."""
    return evolve(trial, block=0), trial.arm, (shown_framework(trial), trial.model, trial.task), None


class Remaining:
    """Told when trials start and end; trials that run side by side take turns, so their own times add up.

    Everything is worked out when a trial starts or ends: reading it, several times a second, costs nothing.
    """

    def __init__(
        self,
        trials: Iterable[Trial],
        clock: Callable[[], float] = time.monotonic,
        earlier: Mapping[Trial, float] | None = None,
    ) -> None:
        """earlier: seconds that trials took in earlier runs; those of this run count more."""
        self._clock, self._earlier = clock, earlier or {}
        self._kinds: dict[Hashable, int] = {}
        self._fixed: set[int] = set()
        """Kinds of which nothing is learned in this run: what earlier runs took."""
        """Likenesses by number, which is quicker to look up."""
        self._to_come: dict[Trial, tuple[int, ...]] = {}
        self._running: dict[Trial, tuple[int, ...]] = {}
        self._took: dict[int, tuple[float, int]] = {}
        """Seconds and count of the trials of a kind that have ended."""
        self._since = clock()
        """When the trials that now run side by side began."""
        self._ended = 0.0
        """Seconds of those among them that have ended."""
        self._seconds = self._least = 0.0
        self.extend(trials)

    def extend(self, trials: Iterable[Trial]) -> None:
        """More trials are to come."""
        for trial in trials:
            kinds: list[Hashable] = [*enumerate(likenesses(trial))]  # a later block's own kind is also its arm
            numbers = [self._number(kind) for kind in kinds]
            if self._earlier:
                numbers[2:2] = [self._before(trial)]
                numbers.append(self._before(None))
            self._to_come[trial] = tuple(numbers)
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
        if not self._running:
            self._since, self._ended = self._clock(), 0.0
        self._running[trial] = self._to_come.pop(trial, ())
        self._work_out()

    def end(self, trial: Trial, seconds: float) -> None:
        """A trial has ended after so many seconds of its own; 0 if it was not run at all."""
        kinds = self._running.pop(trial, None) or self._to_come.pop(trial, ())
        if seconds:
            for kind in kinds:
                if kind in self._fixed:
                    continue
                total, count = self._took.get(kind, (0.0, 0))
                self._took[kind] = total + seconds, count + 1
        self._ended += seconds
        self._work_out()

    def left(self) -> float | None:
        """Seconds until all have ended; None before the first has."""
        if not self._took and (self._running or self._to_come):
            return None
        if not self._running:
            return self._least
        return max(self._least, self._seconds - (self._clock() - self._since))

    def _work_out(self) -> None:
        self._least = sum(map(self._expected, self._to_come.values()))
        self._seconds = self._ended + sum(map(self._expected, self._running.values())) + self._least

    def _expected(self, kinds: tuple[int, ...]) -> float:
        total, count = next((self._took[kind] for kind in kinds if kind in self._took), (0.0, 1))
        return total / count
