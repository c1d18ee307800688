"""What a run prints when it has ended: its tables, and what a reader must know before using them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console

from mlbench_core.report.summary import comparison_table, summary_table
from mlbench_core.results import Results


def say(console: Console, line: str, style: str | None = None) -> None:
    """One line, as it is."""
    console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def print_results(console: Console, results: Results) -> None:
    """The summary, the comparisons, the doubts, the failures."""
    rows, comparisons = results.cells(), results.comparisons()
    console.print(summary_table(results))
    if any(c.ratio is not None and c.ratio.blocks > 1 for c in comparisons):
        console.print(comparison_table(comparisons))
    elif comparisons:
        say(console, "One block shows no difference: --blocks 10 gives intervals and verdicts.")
    for flag in results.machine_flags():
        say(console, f"machine: {flag}")
    for line in _doubts(rows):
        say(console, line)
    for record in results.failures():
        say(console, f"{record.status}: {record.trial.label}: {record.reason}")
    for model, why in not_comparable(rows):
        say(console, f"{model}: {why}", style="red")


def not_comparable(rows: Iterable[dict[str, Any]]) -> list[tuple[str, str]]:
    """(model, why) of the cells whose frameworks may not be compared, each once."""
    return sorted({(row["model"], row["parity"]) for row in rows if row["parity"].startswith("not comparable")})


def _doubts(rows: Iterable[dict[str, Any]]) -> list[str]:
    """A line for each flag of each arm that is more than a note, with the number of blocks that raised it."""
    found: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        arm = " ".join(str(row[name]) for name in ("framework", "model", "device", "precision", "execution"))
        for flag in row["flags"]:
            if flag.level != "note":
                found.setdefault((arm, flag.level, flag.name), []).append(flag.text)
    return [
        f"{arm}: {level}: {name} ({texts[0]}" + (f"; in {len(texts)} rows)" if len(texts) > 1 else ")")
        for (arm, level, name), texts in found.items()
    ]
