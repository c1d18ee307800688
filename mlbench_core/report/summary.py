"""The summary table that ends a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from mlbench_core.entry import shown_framework
from mlbench_core.report.files import CSV_NAME
from mlbench_core.report.parity import NAME as PARITY_NAME
from mlbench_core.report.table import Fitted, Shown, cell
from mlbench_core.results import Results
from mlbench_core.results.columns import Column
from mlbench_core.results.comparisons import Comparison
from mlbench_core.results.row import BY_NAME, Row, plain
from mlbench_core.results.storage import NAME as JSON_NAME
from mlbench_core.stats.percentiles import TOO_SMALL
from mlbench_core.verify.rungs import ParityResult, Rung

STYLES = {"verified": "green", "unverified": "yellow"}

FIGURES = {
    "samples_per_second": 0,
    "train_time_per_epoch": 2,
    "first_step_s": 5,
    "largest_batch": 1,
    "final_val_accuracy": 3,
    "peak_memory_mb": 6,
    "gpu_utilization_pct": 9,
    "mfu_pct": 8,
    "inference_latency_p50_ms": 4,
    "inference_latency_p99_ms": 7,
}
"""The columns of figures in the summary, in this order, each with the rank at which it leaves a narrow terminal."""
WHAT = ("dataset", "device", "node", "batch_size", "precision", "block")
"""Columns that are shown only where rows differ in them."""


def summary_table(results: Results) -> Fitted:
    """A row per cell, its model's name once per group; a column that nothing was measured for is left out."""
    rows = [(row, plain(row) | {"framework": shown_framework(row)}) for row in results.rows]
    several = [name for name in WHAT if len({values[name] for _, values in rows}) > 1]
    arms = [tuple(values[name] for name in ("model", *several, "framework")) for _, values in rows]
    columns = [
        Shown(
            label=BY_NAME[name].label,
            cells=[cell(values[name]) for _, values in rows],
            names=name != "execution" or len(set(arms)) < len(arms),
            heads=name not in ("framework", "execution"),
            right=name in ("batch_size", "block"),
            leaves=6,
        )
        for name in ("model", *several, "framework", "execution")
    ]
    for name, leaves in FIGURES.items():
        if any(values[name] is not None for _, values in rows):
            cells = [cell(_figure(BY_NAME[name], values)) for _, values in rows]
            columns.append(Shown(label=BY_NAME[name].label, cells=cells, right=True, leaves=leaves))
    proven = [cell(row.parity.verdict, style=STYLES.get(row.parity.verdict, "red")) for row, _ in rows]
    status = [cell(row.status, style="green" if row.status == "ok" else "red") for row, _ in rows]
    columns += [Shown(label="parity", cells=proven, leaves=1), Shown(label="status", cells=status)]
    return Fitted(title=_title(results.rows, several), columns=columns, elsewhere=CSV_NAME, grouped=True)


def _title(rows: Sequence[Row], several: list[str]) -> str:
    """What all rows have in common, so that no column repeats it."""
    if not rows:
        return "no trial has ended"
    shared = [name for name in WHAT if name not in (*several, "block")]
    values = plain(rows[0])
    return ", ".join(f"{BY_NAME[name].label} {values[name]}" for name in shared if values[name] != "")


def _figure(column: Column, values: dict[str, Any]) -> str:
    """The value, or why there is none: a percentile of too few queries says so, anything else was not measured."""
    value = values[column.name]
    if value is not None:
        return column.show(value)
    queried = "latency_p" in column.name and values[column.name.partition("_p")[0] + "_mean_ms"] is not None
    return TOO_SMALL if queried else "n/a"


VERDICT_STYLES = {"faster": "green", "slower": "green", "equivalent": "cyan", "inconclusive": "yellow"}


COMPARED = {
    "model": "model",
    "device": "device",
    "node": "node",
    "batch size": "batch_size",
    "precision": "precision",
    "metric": "metric",
}
"""What a comparison is of, by label; shown only where comparisons differ in it, else in the title."""


def comparison_table(comparisons: Sequence[Comparison]) -> Fitted:
    """A row per pair of arms: the ratio of their speeds with its 95 % interval, and what may be said of it."""
    what = {
        label: [str(c.metric if name == "metric" else getattr(c.group, name)) for c in comparisons]
        for label, name in COMPARED.items()
    }
    shared = [f"{label} {found[0]}" for label, found in what.items() if len(set(found)) == 1 and found[0]]
    columns = [
        Shown(label=label, cells=[cell(each) for each in found], names=True, heads=True, right=label == "batch size")
        for label, found in what.items()
        if len(set(found)) > 1
    ]
    columns += [
        Shown(label="first", cells=[cell(c.a) for c in comparisons], names=True),
        Shown(label="second", cells=[cell(c.b) for c in comparisons], names=True),
    ]
    numbers = [_numbers(c) for c in comparisons]
    for place, (label, leaves) in enumerate({"ratio": 0, "interval": 0, "p (Holm)": 2, "blocks": 1}.items()):
        columns.append(Shown(label=label, cells=[cell(each[place]) for each in numbers], right=True, leaves=leaves))
    verdicts = [cell(c.verdict, style=VERDICT_STYLES.get(c.verdict, "red")) for c in comparisons]
    columns.append(Shown(label="the first is", cells=verdicts))
    if any(c.verdict == "inconclusive" for c in comparisons):
        needed = [cell(str(c.blocks_needed or "more") if c.verdict == "inconclusive" else "") for c in comparisons]
        columns.append(Shown(label="blocks needed", cells=needed, right=True, leaves=3))
    title = ", ".join(["ratio of speeds, first to second, with its interval", *shared])
    return Fitted(title=title, columns=columns, elsewhere=JSON_NAME)


def _numbers(comparison: Comparison) -> tuple[str, str, str, str]:
    """The ratio, its interval, p and the number of blocks."""
    r = comparison.ratio
    if r is None:
        return "-", "-", "-", "-"
    interval = "n/a" if r.low is None else f"[{r.low:.3f}, {r.high:.3f}]"
    p = "n/a" if comparison.adjusted_p is None else f"{comparison.adjusted_p:.2g}"
    return f"{r.value:.3f}", interval, p, str(r.blocks)


def parity_table(parity: Sequence[ParityResult]) -> Fitted:
    """A row per framework and model, a column per rung with its measured error; a rung that did not hold is red, and those that
    all have held leave a narrow terminal first, the lowest before the others."""
    names = {rung.name: rung.number for result in parity for rung in result.rungs}
    found = [{rung.name: rung for rung in result.rungs} for result in parity]
    columns = [
        Shown(label="framework", cells=[cell(shown_framework(result)) for result in parity], names=True),
        Shown(label="model", cells=[cell(result.model) for result in parity], names=True),
    ]
    if len({result.where for result in parity}) > 1:
        columns.append(Shown(label="device", cells=[cell(result.where) for result in parity], names=True))
    for name in sorted(names, key=lambda name: names[name]):
        fell = any(name in rungs and not rungs[name].passed for rungs in found)
        leaves = 0 if fell else 1 + max(names.values()) - names[name]
        columns.append(Shown(label=name, cells=[_error(rungs.get(name)) for rungs in found], leaves=leaves))
    verdicts = [cell(result.verdict, style=STYLES.get(result.verdict, "red")) for result in parity]
    columns.append(Shown(label="verdict", cells=verdicts))
    title = "parity with the NumPy reference: largest relative error per rung"
    return Fitted(title=title, columns=columns, elsewhere=PARITY_NAME)


def _error(rung: Rung | None) -> Text:
    if rung is None or rung.absent:
        return cell("-")
    return cell(f"{rung.error:.0e}" if rung.error else "0", style="" if rung.passed else "red")
