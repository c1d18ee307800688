"""The reporters of the core: benchmark_results.json, with every raw value, and benchmark_results.csv, a row per cell
and block."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from mlbench_core.files import replace_text
from mlbench_core.hookspecs import ReporterDescriptor, hookimpl
from mlbench_core.plain_text import clean, spreadsheet
from mlbench_core.results import storage
from mlbench_core.results.results import Results
from mlbench_core.results.row import COLUMNS, plain

CSV_NAME = "benchmark_results.csv"


@hookimpl
def register_reporters() -> list[ReporterDescriptor]:
    """JSON and CSV."""
    return [
        ReporterDescriptor("json", "mlbench_core.report.files:write_json", "everything, raw values included"),
        ReporterDescriptor("csv", "mlbench_core.report.files:write_csv", "a row of metrics per cell and block"),
    ]


def write_json(results: Results, folder: Path) -> list[Path]:
    """Writes benchmark_results.json, see `results.storage`."""
    return [storage.save(results, folder / storage.NAME)]


def write_csv(results: Results, folder: Path) -> list[Path]:
    """Writes benchmark_results.csv: the columns of `results.row.COLUMNS`, empty where nothing was measured.

    A text that a spreadsheet would take for a formula begins with a quote; the JSON file has texts as they are.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, [column.name for column in COLUMNS])
    writer.writeheader()
    writer.writerows({name: _field(value) for name, value in plain(row).items()} for row in results.rows)
    return [replace_text(folder / CSV_NAME, text.getvalue())]


def _field(value: Any) -> Any:
    return spreadsheet(clean(value)) if isinstance(value, str) else value
