"""How far the running trial's phase is, from what the same phase of trials like it has taken."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

from mlbench_core.record import Record
from mlbench_core.report.remaining import likenesses
from mlbench_core.trial import Trial

WORDS = {
    "setup": "setting up",
    "first_step": "first step",
    "warmup": "warming up",
    "measure": "measuring",
    "read_back": "checking that synchronize waits",
    "step_latency": "timing single steps",
    "train": "training",
    "evaluate": "evaluating",
    "latency": "answering queries",
    "save": "saving and loading",
    "teardown": "ending",
    "peak": "measuring the device's peak",
}
IN_TURNS = ("measure", "step_latency", "latency")
"""Phases in which trials that run side by side wait for one another, so that each takes as long as all of them."""


class Phases:
    """Told what the running trials do. words: what the last of them does, for a person; empty while nothing runs."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.words = ""
        self._clock = clock
        self._running: set[Trial] = set()
        self._took: dict[Hashable, float] = {}
        """Seconds that a phase took in the last trial of a kind."""
        self._since, self._expected = clock(), 0.0
        self._counted: tuple[int, int] | None = None

    def start(self, trial: Trial) -> None:
        """A trial starts."""
        self._running.add(trial)
        self._enter("starting", 0.0)

    def enter(self, trial: Trial, phase: str) -> None:
        """A trial enters a phase."""
        kinds = ((phase, kind) for kind in likenesses(trial)[:3])
        seconds = next((self._took[kind] for kind in kinds if kind in self._took), 0.0)
        beside = len(self._running) if phase in IN_TURNS else 1
        self._enter(WORDS.get(phase, phase), seconds * max(1, beside))

    def count(self, done: int, total: int) -> None:
        """The trial that trains is so many steps far."""
        self._counted = (done, total)
        self.words = f"{WORDS['train']}, step {done:,} of {total:,}"

    def end(self, record: Record) -> None:
        """A trial has ended."""
        self._running.discard(record.trial)
        for phase, seconds in record.measured.phases.items():
            for kind in likenesses(record.trial)[:3]:
                self._took[phase, kind] = seconds
        if not self._running:
            self.words = ""

    def share(self) -> float | None:
        """How much of the phase is done, from 0 to 1; None if nobody knows, or if it takes longer than it has before."""
        if self._counted is not None:
            done, total = self._counted
            return min(1.0, done / max(1, total))
        gone = self._clock() - self._since
        return gone / self._expected if gone <= self._expected else None

    def _enter(self, words: str, expected: float) -> None:
        self.words, self._expected, self._counted = words, expected, None
        self._since = self._clock()
