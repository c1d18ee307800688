"""`mlbench compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlbench_core.cli.options import List, make_console, split

if TYPE_CHECKING:
    from mlbench_core.compare.gate import Gate, GateResult
    from mlbench_core.compare.judge import Options
    from mlbench_core.compare.kept import Taken
    from mlbench_core.report.compared.lines import Said


def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="BASE NEW ...: results files, folders of runs, or folders of such folders.")
    ],
    control: Annotated[
        str | None, typer.Option(help="A framework of the same version on both sides: compare beside it.")
    ] = None,
    metrics: Annotated[List, typer.Option(help="Metrics to gate: train latency first-step memory p99 ...")] = None,
    fail_on: Annotated[
        str | None, typer.Option(help="Status 1 for: slower, inconclusive, missing, not-comparable, failed.")
    ] = None,
    threshold: Annotated[
        List, typer.Option(help="A loss that is allowed: 5%, or PATTERN=10% such as 'resnet*/infer/*=10%'.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Status 3 if a cell is in one run only.")] = False,
    allow_different_machine: Annotated[
        bool, typer.Option("--allow-different-machine", help="Show speeds of different machines, ungated.")
    ] = False,
    format_: Annotated[str, typer.Option("--format", help="table, markdown, json, csv, html or junit.")] = "table",
    export: Annotated[List, typer.Option(help="Write a file too, by its suffix: .md .json .csv .html .xml.")] = None,
    github: Annotated[bool, typer.Option("--github", help="Append to the job summary, print annotations.")] = False,
) -> None:
    """Compare two runs or more, the first being the base: did it get slower?

    Status: 0 compared and no condition of --fail-on met, 1 a condition met, 2 usage or an unreadable file, 3 nothing could be
    compared.
    """
    from mlbench_core.compare.gate import Gate, parse_conditions, parse_threshold
    from mlbench_core.compare.judge import Options
    from mlbench_core.compare.sides import load_side, metrics_named
    from mlbench_core.errors import ConfigError

    if len(runs) < 2:
        raise ConfigError("compare takes a base and at least one other run")
    gate = Gate(
        fail_on=parse_conditions(fail_on),
        thresholds=tuple(parse_threshold(text) for text in threshold or ()),
        strict=strict,
    )
    options = Options(metrics=metrics_named(split(metrics)), control=control, any_machine=allow_different_machine)
    formats = _formats(format_, export or [])
    sides = [load_side(path, options.metrics) for path in runs]
    status = 0
    for place, path in enumerate(runs[1:], 1):
        several = len(runs) > 2
        title = f"{runs[0]} (base) and {path} (new)"
        status = max(
            status, _one(sides[0], sides[place], title, options, gate, formats, github, place if several else 0)
        )
    raise typer.Exit(status)


def _formats(shown: str, exports: list[str]) -> tuple[str, dict[Path, str]]:
    """The format to print, and that of each file; checked before anything is computed."""
    from mlbench_core.errors import ConfigError, unknown
    from mlbench_core.report.compared.formats import FORMATS, SUFFIXES

    if shown not in ("table", *FORMATS):
        raise ConfigError("--format: " + unknown("format", shown, ["table", *FORMATS]))
    files = {}
    for name in exports:
        path = Path(name)
        if path.suffix not in SUFFIXES:
            raise ConfigError(f"--export: {name!r} ends with none of {', '.join(SUFFIXES)}")
        files[path] = SUFFIXES[path.suffix]
    return shown, files


def _one(
    base: list[Taken],
    new: list[Taken],
    title: str,
    options: Options,
    gate: Gate,
    formats: tuple[str, dict[Path, str]],
    github: bool,
    place: int,
) -> int:
    """One comparison: printed and written before its status is returned. place: its number, where there are several."""
    from mlbench_core.compare.gate import outcome
    from mlbench_core.compare.judge import compare_taken
    from mlbench_core.errors import ConfigError
    from mlbench_core.files import replace_text
    from mlbench_core.report.compared.formats import FORMATS, as_markdown
    from mlbench_core.report.compared.github import append_summary, error_commands
    from mlbench_core.report.compared.lines import said

    comparison = compare_taken(base, new, options)
    found = outcome(comparison, gate)
    words = said(comparison, found, title)
    shown, files = formats
    for path, kind in files.items():
        target = path.with_name(f"{path.stem}-{place}{path.suffix}") if place else path
        try:
            replace_text(target, FORMATS[kind](words, comparison, found))
        except OSError as error:
            raise ConfigError(f"--export: cannot write {str(target)!r}: {error.strerror}") from None
    if shown == "table":
        _print(words, found)
    else:
        print(FORMATS[shown](words, comparison, found), end="")
    if github:
        append_summary(as_markdown(words, comparison, found))
        print("\n".join(error_commands(comparison)))
    return found.status


def _print(words: Said, found: GateResult) -> None:
    """Facts on top, the table, then what is in one run only, what failed, the means and what was met."""
    from mlbench_core.report.compared.terminal import compared_table, most_telling
    from mlbench_core.report.terminal import say

    console = make_console()
    for line in (words.title, *words.facts):
        say(console, line)
    shown, more = most_telling(words)
    console.print(compared_table(shown))
    if more:
        say(console, more)
    for line in (*words.unmatched, *words.failed, *words.means):
        say(console, line)
    for line in words.met:
        say(console, line, style="red")
    say(console, f"status {found.status}")
