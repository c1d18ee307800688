"""What a run prints when it has ended: its tables, and what a reader must know before using them."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console

from mlbench_core.entry import shown_framework
from mlbench_core.nodes import where
from mlbench_core.plain_text import clean
from mlbench_core.record import Record
from mlbench_core.report.summary import comparison_table, summary_table
from mlbench_core.results import Results
from mlbench_core.results.row import Row


def say(console: Console, line: str, style: str | None = None) -> None:
    """One line, with no markup and no escape sequence in it."""
    console.print(clean(line), style=style, markup=False, highlight=False, soft_wrap=True)


def print_results(console: Console, results: Results) -> None:
    """The summary, the comparisons, the doubts, the failures."""
    rows = results.rows
    comparisons = [comparison for comparison in results.comparisons if comparison.primary]
    console.print(summary_table(results))
    if any(c.ratio is not None and c.ratio.blocks > 1 for c in comparisons):
        console.print(comparison_table(comparisons))
    elif comparisons:
        say(console, "One block shows no difference: --blocks 10 gives intervals and verdicts.")
    for line in results.forced:
        say(console, f"resumed with --force: {line}", style="red")
    for flag in results.machine_flags():
        say(console, f"machine: {flag}")
    for line in (*notes_on_data(results.records), *_doubts(rows)):
        say(console, line)
    for record in results.failures():
        log = f"; see {record.log}" if record.log and record.log not in record.reason else ""
        say(console, f"{record.status}: {record.trial.label}: {record.reason}{log}")
    for model, why in not_comparable(rows):
        say(console, f"{model}: {why}", style="red")


def not_comparable(rows: Iterable[Row]) -> list[tuple[str, str]]:
    """(model, why) of the cells whose frameworks may not be compared, each once."""
    return sorted({(row.model, str(row.parity)) for row in rows if row.parity.verdict == "not comparable"})


def notes_on_data(records: Iterable[Record]) -> list[str]:
    """What to know of the data of these trials, a line per data set and note."""
    return list(dict.fromkeys(f"{record.trial.dataset}: {note}" for record in records for note in record.notes))


def _doubts(rows: Iterable[Row]) -> list[str]:
    """A line for each flag of each arm that is more than a note, with the number of rows that have it."""
    found: dict[tuple[str, ...], dict[int, str]] = {}
    for number, row in enumerate(rows):
        arm = " ".join((shown_framework(row), row.model, where(row), row.precision, row.execution))
        for flag in row.flags:
            if flag.level != "note":
                found.setdefault((arm, flag.level, flag.name), {}).setdefault(number, flag.text)
    return [
        f"{arm}: {level}: {name} ({next(iter(texts.values()))}"
        + (f"; in {len(texts)} rows)" if len(texts) > 1 else ")")
        for (arm, level, name), texts in found.items()
    ]
