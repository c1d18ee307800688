"""Results as a notebook shows them: a table of the cells and a sentence per comparison of speed."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from mlbench_core.plain_text import clean
from mlbench_core.results.arms import ArmSummary, arms_of
from mlbench_core.results.row import BY_NAME

if TYPE_CHECKING:
    from mlbench_core.results.results import Results

WHAT = ("model", "dataset", "device", "batch_size", "precision", "framework", "execution")
FIGURES = (
    "samples_per_second", "first_step_s", "peak_memory_mb", "inference_latency_p50_ms", "final_val_accuracy",
)  # fmt: skip
MOST = 50
"""Cells and sentences that are shown; a notebook is no place for thousands."""


def as_html(results: Results) -> str:
    """A fragment of HTML without scripts or styles; what is left out is said."""
    import pandas as pd

    arms = arms_of(results.rows)
    shown = [name for name in FIGURES if any(arm.columns[name] is not None for arm in arms)]
    labels = [*(BY_NAME[name].label for name in (*WHAT, *shown)), "blocks", "parity", "status"]
    with pd.option_context("display.max_colwidth", None):
        table = pd.DataFrame([_cells(arm, shown) for arm in arms[:MOST]], columns=labels).to_html(index=False, border=0)
    sentences = [comparison.describe() for comparison in results.comparisons if comparison.primary]
    items = "".join(f"<li>{escape(clean(sentence))}</li>" for sentence in sentences[:MOST])
    return f"{_introduction(results, len(arms), len(sentences))}{table}<ul>{items}</ul>"


def _introduction(results: Results, cells: int, sentences: int) -> str:
    parts = ["Medians over the blocks of each cell."]
    if results.interrupted:
        parts.insert(0, "The run was interrupted: these are the trials that had ended.")
    if max(cells, sentences) > MOST:
        parts.append(
            f"The first {MOST} of {cells} cells and of {sentences} comparisons; to_dataframe() and comparisons have all."
        )
    return f"<p>{' '.join(parts)}</p>"


def _cells(arm: ArmSummary, figures: list[str]) -> list[str]:
    texts = [str(arm.shown[name]) for name in WHAT]
    for name in figures:
        value = arm.columns[name]
        texts.append("n/a" if value is None else BY_NAME[name].show(value))
    status = next((row.status for row in arm.rows if row.status != "ok"), "ok")
    return [clean(text) for text in (*texts, str(arm.blocks), arm.rows[0].parity.verdict, status)]
