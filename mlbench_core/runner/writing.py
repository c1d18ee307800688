"""Writes the files of a run: the results whatever happens, elsewhere if need be, and then what others make of them."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

from mlbench_core.errors import in_one_line
from mlbench_core.finished import FinishedRun
from mlbench_core.hookspecs import ReporterDescriptor
from mlbench_core.interruption import cut_short, held, hurried
from mlbench_core.plugins import attribute
from mlbench_core.registry import REPORTER, Registry
from mlbench_core.results import Results

NEEDED = ("json", "csv")
"""The reporters without which a run has no results."""


def write_all(results: Results, folder: Path, registry: Registry) -> Path | None:
    """Has every reporter write. Returns the folder that has the results if it is another one, because theirs cannot be written.

    A reporter's fault is warned of, and costs nobody else's files. No signal ends the writing of results; any signal ends that
    of the rest, and after two of them it is not begun.
    """
    needed = [registry.reporters[name] for name in NEEDED if name in registry.reporters]
    with held():
        faults = [_write(reporter, results, folder, registry) for reporter in needed]
        rescue = None
        if any(isinstance(fault, OSError) for fault in faults):
            rescue = Path(tempfile.mkdtemp(prefix="mlbench-results-"))
            for reporter in needed:
                _write(reporter, results, rescue, registry)
    if rescue is None and not hurried():
        with cut_short():
            for reporter in registry.reporters.values():
                if reporter not in needed:
                    _write(reporter, results, folder, registry)
            finished: FinishedRun = results
            registry.tell("run_finished", results=finished)
    return rescue


def _write(reporter: ReporterDescriptor, results: Results, folder: Path, registry: Registry) -> Exception | None:
    """What went wrong, if anything did."""
    try:
        attribute(reporter.write)(results, folder)
    except Exception as error:
        owner = registry.owners[REPORTER, reporter.name]
        warnings.warn(f"{owner}: its reporter {reporter.name!r} failed: {in_one_line(error)}", stacklevel=2)
        return error
    return None
