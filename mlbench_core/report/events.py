"""The events of `mlbench run --json-events`, one JSON object per line, for other programs: docs/reference/events.md."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

from attrs import frozen

from mlbench_core.record import Record, Status
from mlbench_core.report.figures import figures, own_seconds
from mlbench_core.report.remaining import Remaining
from mlbench_core.serialize import to_json
from mlbench_core.trial import Task, Trial
from mlbench_core.verify.rungs import ParityResult
from mlbench_core.version import VERSION

SCHEMA_VERSION = 1


@frozen(kw_only=True)
class RunStarted:
    """The first event. schema_version: of all events. started: ISO 8601, UTC. output: the folder, absolute. trials: planned."""

    name: ClassVar[str] = "run_started"
    schema_version: int
    mlbench: str
    started: str
    output: str
    trials: int


@frozen(kw_only=True)
class Note:
    """A line that a person should read: of the data, of what is not offered, of how the run goes on."""

    name: ClassVar[str] = "note"
    text: str


@frozen(kw_only=True)
class Verified:
    """What verification found of a model in a framework. reason: empty if all is proven."""

    name: ClassVar[str] = "verified"
    framework: str
    variant: str
    model: str
    device: str
    verdict: Literal["verified", "unverified", "failed"]
    reason: str


@frozen(kw_only=True)
class TrialStarted:
    """A trial starts; several may run side by side. key: names it in all its events and in the results."""

    name: ClassVar[str] = "trial_started"
    key: str
    label: str
    framework: str
    variant: str
    model: str
    dataset: str
    device: str
    node: str
    batch_size: int
    precision: str
    execution: str
    task: Task
    block: int


@frozen(kw_only=True)
class PhaseEntered:
    """A trial enters a phase, or is further in it. done, total: steps of training; null elsewhere."""

    name: ClassVar[str] = "phase"
    key: str
    phase: str
    done: int | None = None
    total: int | None = None


@frozen(kw_only=True)
class TrialFinished:
    """A trial has ended. reason: empty if status is "ok". own_s: its seconds without those in which it waited for its turn.

    figures: by the names of the columns of results. finished: trials that have ended so far, of `trials`. left_s: seconds that
    the run still needs; null if nobody knows.
    """

    name: ClassVar[str] = "trial_finished"
    key: str
    label: str
    status: Status
    reason: str
    own_s: float
    figures: dict[str, float]
    finished: int
    trials: int
    left_s: float | None


@frozen(kw_only=True)
class Extended:
    """A block is run that was not planned. why: an interval is not narrow enough yet, or a node was lost, in words that follow
    the block's number. added: trials in it. trials: of the run now."""

    name: ClassVar[str] = "extended"
    block: int
    why: str
    added: int
    trials: int


@frozen(kw_only=True)
class RunFinished:
    """The last event. exit_status: of the program. finished: trials that have ended; failed: those among them that did not end
    well. files: what was written, absolute. resume: the command that goes on with the run; null if there is none."""

    name: ClassVar[str] = "run_finished"
    exit_status: int
    interrupted: bool
    finished: int
    failed: int
    files: tuple[str, ...]
    resume: str | None


KINDS = (RunStarted, Note, Verified, TrialStarted, PhaseEntered, TrialFinished, Extended, RunFinished)
"""Every event has besides these fields `event`, its name, and `seconds` since the first event."""


class Events:
    """Turns what happens in a run into events. write: takes a line."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock, self._start = write, clock, clock()
        self._remaining = Remaining(())
        self._ended = self._total = 0

    def emit(self, event: Any) -> None:
        """Writes one of `KINDS`."""
        head = {"event": event.name, "seconds": round(self._clock() - self._start, 3)}
        self._write(json.dumps(head | to_json(event), allow_nan=False))

    def run_started(self, output: str, trials: int) -> None:
        """output: the folder, absolute."""
        started = datetime.now(UTC).isoformat(timespec="seconds")
        self.emit(
            RunStarted(schema_version=SCHEMA_VERSION, mlbench=VERSION, started=started, output=output, trials=trials)
        )

    def verified(self, result: ParityResult) -> None:
        """A result of verification."""
        self.emit(
            Verified(
                framework=result.framework,
                variant=result.variant,
                model=result.model,
                device=result.device,
                verdict=result.verdict,
                reason=result.why,
            )
        )

    def trials(self, trials: Sequence[Trial], remaining: Remaining | None = None) -> None:
        """These trials are to come."""
        self._total, self._remaining = len(trials), remaining or Remaining(trials)

    def on_event(self, trial: Trial, event: dict[str, Any]) -> None:
        """Follows one event of a trial."""
        kind = event["event"]
        if kind == "start":
            self._remaining.start(trial)
            names = (
                "key",
                "label",
                "framework",
                "variant",
                "model",
                "dataset",
                "device",
                "node",
                "batch_size",
                "precision",
                "execution",
            )
            facts: dict[str, Any] = {name: getattr(trial, name) for name in names}
            self.emit(TrialStarted(**facts, task=trial.task, block=trial.block))
        elif kind == "phase":
            self.emit(PhaseEntered(key=trial.key, phase=event["name"]))
        elif kind == "progress":
            self.emit(PhaseEntered(key=trial.key, phase="train", done=event["done"], total=event["total"]))
        elif kind == "extended":
            self._total += len(event["trials"])
            self._remaining.extend(event["trials"])
            self.emit(Extended(block=trial.block, why=event["why"], added=len(event["trials"]), trials=self._total))
        elif kind == "record":
            self._end(event["record"])

    def _end(self, record: Record) -> None:
        own, left = own_seconds(record), None
        self._remaining.end(record.trial, own)
        self._ended, left = self._ended + 1, self._remaining.left()
        self.emit(
            TrialFinished(
                key=record.trial.key,
                label=record.trial.label,
                status=record.status,
                reason=record.reason,
                own_s=round(own, 3),
                figures=figures(record),
                finished=self._ended,
                trials=self._total,
                left_s=None if left is None else round(left, 1),
            )
        )
