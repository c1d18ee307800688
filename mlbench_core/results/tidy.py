"""Rows -> a tidy table: one line per cell and metric, with its mean over the blocks and the interval of that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mlbench_core.results.arms import arms_of
from mlbench_core.results.row import COLUMNS, Row, plain
from mlbench_core.stats.estimate import Estimate, arithmetic, estimate

CELL = (
    "framework",
    "variant",
    "model",
    "dataset",
    "device",
    "node",
    "num_nodes",
    "batch_size",
    "precision",
    "execution",
    "parity",
)
METRICS = tuple(column for column in COLUMNS if column.measured and not column.name.endswith(("_low_ms", "_high_ms")))
"""Columns with a number of each block; the ends of a percentile's interval within one block are no metric."""
TIDY = (*CELL, "metric", "unit", "value", "low", "high", "blocks")
"""The columns of the table."""


def tidy(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The lines, by the names in `TIDY`. What was not measured has no line, and rows with an impossible number do not count.

    value: the geometric mean of times, rates and sizes, the plain mean of shares and of what has no unit. low, high: its 95 %
    interval by Student's t, None with one block. blocks: those with a value.
    """
    lines = []
    for arm in arms_of(rows):
        blocks = [plain(row) for row in arm.rows if row.status != "rejected"]
        cell = {name: arm.columns[name] for name in CELL}
        for column in METRICS:
            known = [block[column.name] for block in blocks if block[column.name] is not None]
            if known:
                over = _estimate(known, column.unit)
                lines.append(
                    cell
                    | {"metric": column.name, "unit": column.unit, "value": over.value, "low": over.low}
                    | {"high": over.high, "blocks": over.blocks}
                )
    return lines


def _estimate(values: Sequence[float], unit: str) -> Estimate:
    return arithmetic(values) if unit in ("", "%") or min(values) <= 0 else estimate(values)
