"""The summary table that ends a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mlbench_core.results import Results
from mlbench_core.results.comparisons import Comparison
from mlbench_core.stats.percentiles import TOO_SMALL
from mlbench_core.verify.rungs import Climb, Rung

STYLES = {"verified": "green", "unverified": "yellow"}

_FORMATS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("samples_per_second", "samples/s", lambda v: f"{v:,.0f}" if v >= 100 else f"{v:.1f}"),
    ("train_time_per_epoch", "s/epoch", lambda v: f"{v:.2f}"),
    ("first_step_s", "first step s", lambda v: f"{v:.2f}"),
    ("final_val_accuracy", "val. acc. %", lambda v: f"{100 * v:.1f}"),
    ("peak_memory_mb", "peak MB", lambda v: f"{v:,.0f}"),
    ("gpu_utilization_pct", "GPU %", lambda v: f"{v:.0f}"),
    ("mfu_pct", "MFU %", lambda v: f"{v:.0f}"),
    ("inference_latency_p50_ms", "p50 ms", lambda v: f"{v:.2f}"),
    ("inference_latency_p99_ms", "p99 ms", lambda v: f"{v:.2f}"),
)


def summary_table(results: Results) -> Table:
    """A row per cell, its model's name once per group; a column that nothing was measured for is left out."""
    rows = results.cells()
    several = [
        name for name in ("dataset", "device", "batch_size", "precision", "block") if len({r[name] for r in rows}) > 1
    ]
    formats = [(key, title, show) for key, title, show in _FORMATS if any(row[key] is not None for row in rows)]
    table = Table(title=_title(rows, several), title_justify="left")
    for title in ("model", *several, "framework", "execution"):
        table.add_column(title.replace("_", " "), no_wrap=True)
    for _, title, _ in formats:
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("parity", no_wrap=True)
    table.add_column("status")
    previous = None
    for row in rows:
        if previous not in (None, row["model"]):
            table.add_section()
        cells = [row["model"] if row["model"] != previous else "", *(str(row[name]) for name in several)]
        cells += [row["framework"], row["execution"]]
        cells += [_missing(key, row) if row[key] is None else show(row[key]) for key, _, show in formats]
        style = "green" if row["status"] == "ok" else "red"
        parity = row["parity"].partition(":")[0]
        proven = Text(parity, style=STYLES.get(parity, "red"))
        table.add_row(*(escape(cell) for cell in cells), proven, Text(row["status"], style=style))
        previous = row["model"]
    return table


def _title(rows: list[dict[str, Any]], several: list[str]) -> str:
    """What all rows have in common, so that no column repeats it."""
    if not rows:
        return "no training trial was run"
    shared = [name for name in ("dataset", "device", "batch_size", "precision") if name not in several]
    return ", ".join(f"{name.replace('_', ' ')} {rows[0][name]}" for name in shared)


def _missing(key: str, row: dict[str, Any]) -> str:
    """Why nothing is shown: a percentile of too few queries says so, anything else was not measured."""
    queried = "latency_p" in key and row[key.partition("_p")[0] + "_mean_ms"] is not None
    return TOO_SMALL if queried else "n/a"


VERDICT_STYLES = {"faster": "green", "slower": "green", "equivalent": "cyan", "inconclusive": "yellow"}


def comparison_table(comparisons: Sequence[Comparison]) -> Table:
    """A row per pair of arms: the ratio of their speeds with its 95 % interval, and what may be said of it."""
    table = Table(title="ratio of speeds, first to second, with its interval", title_justify="left")
    for title in ("model", "device", "batch size", "precision", "metric", "first", "second"):
        table.add_column(title, no_wrap=True)
    for title in ("ratio", "interval", "p (Holm)", "blocks"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("verdict on the first")
    for c in comparisons:
        t, r = c.trial, c.ratio
        numbers = ["-", "-", "-", "-"]
        if r is not None:
            interval = "n/a" if r.low is None else f"[{r.low:.3f}, {r.high:.3f}]"
            p = "n/a" if c.adjusted_p is None else f"{c.adjusted_p:.2g}"
            numbers = [f"{r.value:.3f}", interval, p, str(r.blocks)]
        verdict = Text(c.verdict, style=VERDICT_STYLES.get(c.verdict, "red"))
        if c.verdict == "inconclusive":
            more = c.blocks_needed or "more"
            verdict.append(f": {more} blocks needed")
        cell = (t.model, t.device, str(t.batch_size), t.precision, c.metric, c.a, c.b)
        table.add_row(*map(escape, (*cell, *numbers)), verdict)
    return table


def parity_table(climbs: Sequence[Climb]) -> Table:
    """A row per framework and model, a column per rung with its measured error; a rung that did not hold is red."""
    names = {rung.name: rung.number for climb in climbs for rung in climb.rungs}
    columns = sorted(names, key=lambda name: names[name])
    table = Table(title="parity with the NumPy reference: largest relative error per rung", title_justify="left")
    for title in ("framework", "model", *columns, "verdict"):
        table.add_column(title)
    for climb in climbs:
        by_name = {rung.name: rung for rung in climb.rungs}
        cells = [_error(by_name.get(name)) for name in columns]
        table.add_row(climb.framework, climb.model, *cells, Text(climb.verdict, style=STYLES.get(climb.verdict, "red")))
    return table


def _error(rung: Rung | None) -> Text:
    if rung is None or rung.absent:
        return Text("-")
    return Text(f"{rung.error:.0e}" if rung.error else "0", style="" if rung.passed else "red")
