"""`mlbench report`."""

from __future__ import annotations

import gc
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mlbench_core.results import Results

GARBAGE = 5_000
"""Values made until Python looks for cycles among them, seven times its default: a report makes millions that live to its end,
and looking through them again and again took a fifth of its time."""


class Format(StrEnum):
    """What a report is written as."""

    HTML = "html"
    MARKDOWN = "markdown"


def _load(path: Path) -> Results:
    """The results at `path`: of a run that was killed, what its journal has."""
    from mlbench_core.results.storage import NAME, load
    from mlbench_core.runner.journal import NAME as JOURNAL
    from mlbench_core.runner.unfinished import results_of

    killed = not (path / NAME).exists() and (path / JOURNAL).is_file()
    return results_of(path / JOURNAL) if killed else load(path)


def report(
    results: Annotated[
        list[Path],
        typer.Option(
            help="A results file, or the folder of a run, killed or not; repeated for runs that share a matrix between them."
        ),
    ],
    output: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("report"),
    title: Annotated[str | None, typer.Option(help="Its title; else the frameworks' names.")] = None,
    format_: Annotated[
        Format, typer.Option("--format", help="One HTML file, or RESULTS.md and ANALYSIS.md.")
    ] = Format.HTML,
    no_charts: Annotated[bool, typer.Option("--no-charts", help="Leave the charts out of the HTML.")] = False,
) -> None:
    """Write a report of a run: who is ahead, how sure that is, what to distrust, and every figure behind it."""
    from mlbench_core.errors import ResultsError
    from mlbench_core.report.headline import title_of
    from mlbench_core.results.merged import merged
    from mlbench_core.results.storage import NAME

    gc.set_threshold(GARBAGE)
    found = merged([_load(path) for path in results])
    files = [path / NAME if path.is_dir() else path for path in results]
    source = files[0] if len(files) == 1 else None  # beside which logs lie
    name = title_of(found) if title is None else title
    try:
        if format_ is Format.HTML:
            from mlbench_core.report.html import write_html

            written = write_html(found, output, name, source=source, with_charts=not no_charts)
        else:
            from mlbench_core.report.markdown import write_markdown

            written = write_markdown(found, output, name)
    except OSError as error:
        raise ResultsError(f"--output: cannot write to {str(output)!r}: {error.strerror}") from None
    for path in written:
        print(path)
