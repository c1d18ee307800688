"""The JSON Schema of a results file; `storage` writes and reads it."""

from __future__ import annotations

from typing import Any, get_type_hints

from mlbench_core import config_schema
from mlbench_core.json_schema import DIALECT, Definitions
from mlbench_core.machine.known import MachineFacts
from mlbench_core.record import Flag, Record
from mlbench_core.results.columns import Column
from mlbench_core.results.comparisons import Comparison
from mlbench_core.results.parts import Part
from mlbench_core.results.row import COLUMNS, Row
from mlbench_core.results.storage import SCHEMA, SCHEMA_ID, SCHEMA_VERSION
from mlbench_core.verify.rungs import ParityResult


def results_schema() -> dict[str, Any]:
    """What benchmark_results.json holds."""
    types = Definitions()
    properties = {
        "$schema": {"const": SCHEMA_ID},
        "schema": {"const": SCHEMA},
        "schema_version": {"const": SCHEMA_VERSION},
        "created": {"type": "string", "description": "When the file was written, ISO 8601, UTC."},
        "interrupted": {"type": "boolean", "description": "Whether the run was stopped before its last trial."},
        "config": {"$ref": config_schema.ID},
        "machines": {**types.of(dict[str, MachineFacts]), "description": "Facts, by the key that records name."},
        "resumed": {"type": "integer", "minimum": 0, "description": "How often the run was interrupted and resumed."},
        "parts": {**types.of(list[Part]), "description": "The parts of the run; one unless it was resumed."},
        "machine_flags": types.of(list[Flag]),
        "parity": {**types.of(list[ParityResult]), "description": "What verification found; empty if it was skipped."},
        "rows": {"type": "array", "items": _row(types), "description": "A row per cell and block."},
        "comparisons": types.of(list[Comparison]),
        "records": {**types.of(list[Record]), "description": "Every trial, with its raw values."},
    }
    types.found["Record"]["properties"]["key"] = {"type": "string", "description": "A hash of the trial."}
    return {
        "$schema": DIALECT,
        "$id": SCHEMA_ID,
        "title": "Results of mlbench",
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
        "$defs": {**types.found, "Config": config_schema.config_schema()},
    }


def _row(types: Definitions) -> dict[str, Any]:
    properties = {column.name: _column(column, types) for column in COLUMNS}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _column(column: Column, types: Definitions) -> dict[str, Any]:
    own = get_type_hints(Row).get(column.name, float | None)  # a latency has several columns, each a number
    return {**types.of(own), "description": column.meaning + (f"; in {column.unit}" if column.unit else "")}
