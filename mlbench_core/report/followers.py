"""What tells of a run as it goes: to a person, on a terminal or in lines; to another program; or only of what went wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen
from rich.console import Console

from mlbench_core.entry import shown_framework
from mlbench_core.interruption import cut_short, hurried
from mlbench_core.plain_text import clean
from mlbench_core.report.durations import earlier
from mlbench_core.report.events import Events, Note, RunFinished
from mlbench_core.report.lines import TrialLines
from mlbench_core.report.progress import DownloadProgress, TrialProgress
from mlbench_core.report.remaining import Remaining
from mlbench_core.report.terminal import print_results, say
from mlbench_core.results import Results
from mlbench_core.trial import Trial
from mlbench_core.verify.rungs import ParityResult

OnEvent = Callable[[Trial, dict[str, Any]], None]
OnDownload = Callable[[int, int], None]


@frozen(kw_only=True)
class Ended:
    """How a run ended. status: of the program. planned: trials. files: that were written. resume: the command that goes on with
    it; empty if there is none."""

    results: Results
    status: int
    planned: int
    files: tuple[Path, ...]
    resume: str

    def written(self) -> str:
        """Where the files are, in a line."""
        return f"Written: {', '.join(map(str, self.files))}"

    def interrupted(self) -> str:
        """How much of an interrupted run there is and how to go on, in a line."""
        ended = f"Interrupted: {len(self.results.records)} of {self.planned} trials are finished and kept."
        return f"{ended} To go on: {self.resume}" if self.resume else ended


class Quiet:
    """`--quiet`: what went wrong, on the standard error, and the last line. The base of those that tell more."""

    def begin(self, output: Path, trials: int) -> None:
        """The run begins. trials: planned."""

    def note(self, line: str) -> None:
        """A line that a person should read."""

    @contextmanager
    def downloading(self) -> Iterator[OnDownload | None]:
        """While data are prepared: follows a download, in bytes."""
        yield None

    def verified(self, result: ParityResult) -> None:
        """A result of verification."""

    @contextmanager
    def running(self, trials: Sequence[Trial], places: Mapping[str, int]) -> Iterator[OnEvent]:
        """While trials run: follows their events. places: how many there are, by kind of node."""
        yield lambda _trial, _event: None

    def end(self, ended: Ended) -> None:
        """The run has ended."""
        for record in ended.results.failures():
            complain(f"{record.status}: {record.trial.label}: {record.reason}")
        if ended.results.interrupted:
            complain(ended.interrupted())
        if ended.files:
            print(clean(ended.written()), flush=True)


class People(Quiet):
    """Tells people: bars on a terminal, elsewhere a line per trial, then the tables."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._on_a_terminal = console.is_interactive and not console.is_dumb_terminal
        self._verifying = False

    def note(self, line: str) -> None:
        say(self._console, line)

    @contextmanager
    def downloading(self) -> Iterator[OnDownload | None]:
        if self._on_a_terminal:
            with DownloadProgress(self._console) as download:
                yield download.on_download
        else:
            yield None

    def verified(self, result: ParityResult) -> None:
        if not self._verifying:
            self._verifying = True
            self.note("parity with the NumPy reference:")
        self.note(f"{result.verdict:<10} {shown_framework(result)} {result.model} {result.where}")
        if result.why:
            self.note(f"           {result.why}")

    @contextmanager
    def running(self, trials: Sequence[Trial], places: Mapping[str, int]) -> Iterator[OnEvent]:
        if self._on_a_terminal:
            with TrialProgress(self._console, trials, remaining_of(trials, places)) as progress:
                yield progress.on_event
        else:
            yield TrialLines(self.note, trials, remaining_of(trials, places)).on_event

    def end(self, ended: Ended) -> None:
        if ended.results.records and not hurried():
            with cut_short():
                print_results(self._console, ended.results)
        if ended.files:
            self.note(ended.written())
        if ended.results.interrupted:
            self.note(ended.interrupted())


class Programs(Quiet):
    """`--json-events`: tells another program."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._events = Events(write)

    def begin(self, output: Path, trials: int) -> None:
        self._events.run_started(str(output.absolute()), trials)

    def note(self, line: str) -> None:
        self._events.emit(Note(text=clean(line)))

    def verified(self, result: ParityResult) -> None:
        self._events.verified(result)

    @contextmanager
    def running(self, trials: Sequence[Trial], places: Mapping[str, int]) -> Iterator[OnEvent]:
        self._events.trials(trials, remaining_of(trials, places))
        yield self._events.on_event

    def end(self, ended: Ended) -> None:
        self._events.emit(
            RunFinished(
                exit_status=ended.status,
                interrupted=ended.results.interrupted,
                finished=len(ended.results.records),
                failed=len(ended.results.failures()),
                files=tuple(str(path.absolute()) for path in ended.files),
                resume=ended.resume or None,
            )
        )


def remaining_of(trials: Sequence[Trial], places: Mapping[str, int]) -> Remaining:
    """The time that they need in so many places, as far as earlier runs tell."""
    return Remaining(trials, earlier=earlier(trials), places=places)


def complain(line: str) -> None:
    """A line on the standard error."""
    print(f"mlbench: {clean(line)}", file=sys.stderr, flush=True)
