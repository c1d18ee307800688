"""Progress on the terminal: a bar over all trials with the time left, and what the running trial is doing."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

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


class TrialProgress:
    """A context manager whose `on_event` and `on_download` a Suite calls."""

    def __init__(self, console: Console, trials: int) -> None:
        self._console, self._total = console, trials
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            speed_estimate_period=3600,
        )
        self._all = self._progress.add_task("trials", total=trials)
        self._epochs = self._progress.add_task("", total=None, visible=False)
        self._download = self._progress.add_task("downloading", total=None, visible=False)

    def __enter__(self) -> TrialProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def on_event(self, trial: Trial, event: dict[str, Any]) -> None:
        """Follows one event of a trial."""
        kind = event["event"]
        if kind == "phase":
            self._progress.update(self._all, description=f"{trial.label}: {WORDS.get(event['name'], event['name'])}")
        elif kind == "progress":
            self._progress.update(
                self._epochs,
                description="  training steps",
                completed=event["done"],
                total=event["total"],
                visible=True,
            )
        elif kind == "extended":
            self._total += event["trials"]
            self._progress.update(self._all, total=self._total)
            self._console.print(f"block {trial.block + 1}: an interval is not narrow enough yet", highlight=False)
        elif kind == "record":
            record = event["record"]
            self._progress.update(self._epochs, visible=False)
            self._progress.advance(self._all)
            own = record.observed.wall_s - record.measured.phases.get("waiting", 0.0)
            line = f"{own:6.1f} s  {trial.label}"
            if record.status == "ok":
                self._console.print(f"[green]ok[/]      {line}", highlight=False)
            else:
                self._console.print(f"[red]{record.status}[/]  {line}: ", record.reason, highlight=False, sep="")

    def on_download(self, done: int, total: int) -> None:
        """Follows a download, in bytes."""
        self._progress.update(self._download, completed=done, total=total, visible=done < total)
