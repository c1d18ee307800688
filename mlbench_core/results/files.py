"""The reporters of the core: benchmark_results.json, with every raw value, and benchmark_results.csv, a row per cell."""

from __future__ import annotations

import csv
import json
import os
from datetime import UTC, datetime
from pathlib import Path

from mlbench_core.hookspecs import ReporterDescriptor, hookimpl
from mlbench_core.results.cells import COLUMNS
from mlbench_core.results.results import Results, flat
from mlbench_core.trial import Record, from_json, to_json
from mlbench_core.verify.rungs import Climb

SCHEMA, SCHEMA_VERSION = "mlbench-results", 2
JSON_NAME, CSV_NAME = "benchmark_results.json", "benchmark_results.csv"


@hookimpl
def register_reporters() -> list[ReporterDescriptor]:
    """JSON and CSV."""
    return [
        ReporterDescriptor("json", "mlbench_core.results.files:write_json", "everything, raw values included"),
        ReporterDescriptor("csv", "mlbench_core.results.files:write_csv", "a row of metrics per cell"),
    ]


def write_json(results: Results, folder: Path) -> list[Path]:
    """Writes benchmark_results.json: schema and version, configuration, environment, cells, comparisons, all records."""
    data = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "interrupted": results.interrupted,
        "config": results.config,
        "environment": results.environment,
        "machine_flags": to_json(results.machine_flags()),
        "parity": to_json(results.parity),
        "cells": to_json(results.cells()),
        "comparisons": to_json(results.comparisons()),
        "records": [{"key": record.trial.key, **to_json(record)} for record in results.records],
    }
    return [_replace(folder / JSON_NAME, json.dumps(data, indent=1))]


def read_json(path: Path) -> Results:
    """The Results in a file that `write_json` wrote. Raises ValueError for a file of another schema or version."""
    data = json.loads(path.read_text(encoding="utf-8"))
    if (data.get("schema"), data.get("schema_version")) != (SCHEMA, SCHEMA_VERSION):
        raise ValueError(f"{path} is not a {SCHEMA} file of version {SCHEMA_VERSION}")
    records = tuple(
        from_json({key: value for key, value in record.items() if key != "key"}, Record) for record in data["records"]
    )
    parity = tuple(from_json(climb, Climb) for climb in data["parity"])
    return Results(records, data["config"], data["environment"], data["interrupted"], parity)


def write_csv(results: Results, folder: Path) -> list[Path]:
    """Writes benchmark_results.csv: the columns of `results.cells.COLUMNS`, empty where nothing was measured."""
    path = folder / CSV_NAME
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(flat(row) for row in results.cells())
    os.replace(temporary, path)
    return [path]


def _replace(path: Path, text: str) -> Path:
    """Writes a file whole or not at all, so that a kill leaves the old one."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(temporary, path)
    return path
