"""Runs a suite and tells of it: what `mlbench run` does once it knows what to run."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mlbench_core.cli.options import make_console
from mlbench_core.cli.streams import forgiving
from mlbench_core.interruption import end_children, held, status

if TYPE_CHECKING:
    from mlbench_core.report.followers import Quiet
    from mlbench_core.results import Results
    from mlbench_core.runner import Suite


def make_follower(quiet: bool, json_events: bool) -> Quiet:
    """Who tells of the run, see `report.followers`. With json_events nothing else gets to the standard output from here on."""
    from mlbench_core.report import followers

    if json_events:
        lines = forgiving(os.dup(1))
        sys.stdout.flush()
        os.dup2(2, 1)  # whatever a plugin or a library prints

        def write(line: str) -> None:
            with held():  # an interrupt between writing a line and noting that would have it written twice
                print(line, file=lines)

        return followers.Programs(write)
    return followers.Quiet() if quiet else followers.People(make_console())


def run_suite(suite: Suite, verify: bool, strict: bool, follower: Quiet, how: dict[str, bool]) -> int:
    """Verifies, runs, tells; the exit status, see docs/reference/exit-statuses.md.

    how: `Suite.run`'s arguments about the folder.
    """
    from mlbench_core.report.durations import remember
    from mlbench_core.report.followers import Ended, complain
    from mlbench_core.runner.folder import check_free
    from mlbench_core.runner.journal import NAME

    output = Path(suite.config.output)
    if not (how["resume"] or how["overwrite"]):
        check_free(output)  # said before anything is downloaded
    results, fault = _run(suite, verify, strict, follower, how)
    remember(results.records)
    end_children()  # an interrupt may have come while a worker was being ended
    if fault:
        complain(f"error: {fault}")
    if suite.rescue is not None:
        complain(f"error: the results cannot be written to {str(output)!r}, and are in {str(suite.rescue)!r}")
    goes_on = results.interrupted and (output / NAME).exists()
    ended = Ended(
        results=results,
        status=status() or (1 if fault or suite.rescue else status_of(results, strict)),
        planned=len(suite.trials),
        files=tuple(_files(output if suite.rescue is None else suite.rescue)),
        resume=shlex.join(["mlbench", "resume", str(output)]) if goes_on else "",
    )
    follower.end(ended)
    return ended.status


def _run(suite: Suite, verify: bool, strict: bool, follower: Quiet, how: dict[str, bool]) -> tuple[Results, str]:
    """The results, and why there are not all: what could not be written. Raises what `Suite` does where nothing was run."""
    from attrs import evolve

    from mlbench_core.errors import ExecutorError, JournalError
    from mlbench_core.results import Results

    nothing = Results(records=(), config=suite.config.to_dict(), machines={}, interrupted=True)
    try:
        follower.begin(Path(suite.config.output), len(suite.trials))
        if suite.not_offered:
            follower.note(f"not offered, so not planned: {suite.not_offered}")
        with follower.downloading() as on_download:
            prepared = suite.prepare(on_download)
        for line in prepared.lines():
            follower.note(line)
        opened = suite.open(verify=verify, strict=strict, **how)
        nothing = evolve(nothing, records=opened.kept.until(()))
        for line in opened.notes:
            follower.note(line)
        if verify and opened.parity is None:
            suite.verify(False, follower.verified)
        suite.find_batches(follower.note)
        with follower.running(opened.kept.left(suite.trials), suite.places) as on_event:
            try:
                return suite.run(on_event, verify=verify), ""
            except (JournalError, ExecutorError) as error:
                return suite.so_far or nothing, str(error)
    except KeyboardInterrupt:
        return nothing, ""


def _files(folder: Path) -> list[Path]:
    from mlbench_core.runner.folder import LOCK

    try:
        return sorted(path for path in folder.iterdir() if path.is_file() and path.name != LOCK)
    except OSError:
        return []


def status_of(results: Results, strict: bool) -> int:
    """The exit status of a run that came to its end: 1 if a trial failed or a number is impossible, 3 if frameworks are not
    comparable under --strict."""
    from mlbench_core.report.terminal import not_comparable

    if results.failures() or any(row.status == "rejected" for row in results.rows):
        return 1
    return 3 if strict and not_comparable(results.rows) else 0
