"""A reporter: report.html and its charts, at the end of every run. The last of the core's, so that results are on the disk
before a chart is drawn."""

from __future__ import annotations

from pathlib import Path

from mlbench_core.hookspecs import ReporterDescriptor, hookimpl
from mlbench_core.results import Results
from mlbench_core.results.storage import NAME


@hookimpl
def register_reporters() -> list[ReporterDescriptor]:
    """The report."""
    return [
        ReporterDescriptor("report", "mlbench_core.report.reporter:write", "report.html, with charts as SVG and PNG")
    ]


def write(results: Results, folder: Path) -> list[Path]:
    """Writes what `mlbench report` makes of the run's results file, into the run's folder."""
    from mlbench_core.report.headline import title_of
    from mlbench_core.report.html import write_html

    return write_html(results, folder, title_of(results), source=folder / NAME)
