"""Progress where there is no terminal: a line for each trial that has ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mlbench_core.record import Record
from mlbench_core.report.figures import main_figure, own_seconds
from mlbench_core.report.progress import time_left
from mlbench_core.report.remaining import Remaining
from mlbench_core.trial import Trial


class TrialLines:
    """Says a line per trial as it ends: count, status, its own seconds, name, main figure and the time left.

    say: prints a line.
    """

    def __init__(self, say: Callable[[str], None], trials: Sequence[Trial], remaining: Remaining | None = None) -> None:
        self._say, self._total, self._ended = say, len(trials), 0
        self._remaining = remaining or Remaining(trials)

    def on_event(self, trial: Trial, event: dict[str, Any]) -> None:
        """Follows one event of a trial."""
        kind = event["event"]
        if kind == "start":
            self._remaining.start(trial)
        elif kind == "extended":
            self._remaining.extend(event["trials"])
            self._total += len(event["trials"])
            self._say(f"block {trial.block + 1}: {event['why']}")
        elif kind == "record":
            self._end(event["record"])

    def _end(self, record: Record) -> None:
        own = own_seconds(record)
        self._remaining.end(record.trial, own)
        self._ended += 1
        told = main_figure(record) if record.status == "ok" else record.reason
        count = f"[{self._ended:>{len(str(self._total))}}/{self._total}]"
        name = f"{record.trial.label}: {told}" if told else record.trial.label
        self._say(f"{count} {record.status:<8}{own:6.1f} s  {name}  {time_left(self._remaining)}")
