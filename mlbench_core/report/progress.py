"""Progress on a terminal: what the running trial does, a bar for its phase, and one for the whole run with the time left."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mlbench_core.plain_text import clean
from mlbench_core.record import Record
from mlbench_core.report.figures import own_seconds
from mlbench_core.report.phases import Phases
from mlbench_core.report.remaining import Remaining
from mlbench_core.trial import Trial


def time_left(remaining: Remaining) -> str:
    """When the whole run will have ended, as far as is known: "left 0:12:00"."""
    seconds = remaining.left()
    return f"left {'-:--:--' if seconds is None else timedelta(seconds=round(seconds))}"


class _TimeLeft(ProgressColumn):
    def __init__(self, remaining: Remaining) -> None:
        super().__init__()
        self._remaining = remaining

    def render(self, task: Task) -> Text:
        return Text(time_left(self._remaining), style="progress.remaining")


class _Bars(Progress):
    """A line with bar, count, time taken and time left for the run; above it the trial's name, and its phase with a bar."""

    label = ""
    phases: Phases | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        if self.phases and self.phases.words:
            yield Text(clean(self.label), overflow="fold")
            yield _phase_line(self.phases)
        yield from super().get_renderables()


def _phase_line(phases: Phases) -> Table:
    share = phases.share()
    line = Table.grid(padding=(0, 1), expand=True)
    line.add_column(no_wrap=True)
    line.add_column(ratio=1)
    bar = ProgressBar(
        total=1.0, completed=share or 0.0, pulse=share is None, animation_time=time.monotonic(), width=None
    )
    line.add_row(Text(f"  {phases.words}"), bar)
    return line


class TrialProgress:
    """A context manager whose `on_event` a Suite calls."""

    def __init__(self, console: Console, trials: Sequence[Trial], remaining: Remaining | None = None) -> None:
        self._console, self._total = console, len(trials)
        self._remaining, self._phases = remaining or Remaining(trials), Phases()
        self._bar = _Bars(
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            _TimeLeft(self._remaining),
            console=console,
            expand=True,
        )
        self._bar.phases = self._phases
        self._all = self._bar.add_task("", total=self._total)

    def __enter__(self) -> TrialProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.phases = None
        self._bar.stop()

    def on_event(self, trial: Trial, event: dict[str, Any]) -> None:
        """Follows one event of a trial."""
        kind = event["event"]
        if kind == "start":
            self._remaining.start(trial)
            self._phases.start(trial)
            self._bar.label = trial.label
        elif kind == "phase":
            self._phases.enter(trial, event["name"])
            self._bar.label = trial.label
        elif kind == "progress":
            self._phases.count(event["done"], event["total"])
            self._bar.label = trial.label
        elif kind == "extended":
            self._remaining.extend(event["trials"])
            self._total += len(event["trials"])
            self._bar.update(self._all, total=self._total)
            self._console.print(f"block {trial.block + 1}: {event['why']}", highlight=False)
        elif kind == "record":
            self._end(event["record"])

    def _end(self, record: Record) -> None:
        own = own_seconds(record)
        self._remaining.end(record.trial, own)
        self._phases.end(record)
        self._bar.advance(self._all)
        fine = record.status == "ok"
        line = f"{own:6.1f} s  {record.trial.label}" + ("" if fine else f": {record.reason}")
        status = Text("ok      " if fine else f"{record.status}  ", style="green" if fine else "red")
        self._console.print(status, Text(clean(line)), sep="")


class DownloadProgress:
    """A context manager whose `on_download` a Suite calls while it prepares the data; nothing is shown without a download."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("downloading"),
            BarColumn(bar_width=None),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=console,
            expand=True,
            transient=True,
        )
        self._download = self._progress.add_task("", total=None, visible=False)

    def __enter__(self) -> DownloadProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def on_download(self, done: int, total: int) -> None:
        """Follows a download, in bytes."""
        self._progress.update(self._download, completed=done, total=total, visible=done < total)
