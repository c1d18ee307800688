"""The table of columns as Markdown, for the README."""

from __future__ import annotations

from mlbench_core.results.row import COLUMNS, PERCENTILES


def columns_table() -> str:
    """A line per column with its unit and meaning; the percentiles of a latency share two lines."""
    lines = ["| column | unit | meaning |", "|---|---|---|"]
    names = f"({'|'.join(PERCENTILES)})".replace("|", ", ")
    for column in COLUMNS:
        name = column.name
        if name.endswith("_p50_ms"):
            stem = name.removesuffix("_p50_ms")
            lines.append(
                f"| `{stem}_P_ms` | ms | percentile P of {names}, empty where there are too few values for it |"
            )
            lines.append(f"| `{stem}_P_low_ms`, `{stem}_P_high_ms` | ms | its 95 % interval |")
        elif not any(f"_{p}_" in name for p in PERCENTILES):
            lines.append(f"| `{name}` | {column.unit} | {column.meaning} |")
    return "\n".join(lines)
