"""benchmark_results.json: everything that came of a run, raw values included; written whole, read with distrust."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import orjson
from attrs import evolve

from mlbench_core.config import Config
from mlbench_core.errors import ConfigError, ResultsError
from mlbench_core.files import replace_lines
from mlbench_core.machine.known import MachineFacts
from mlbench_core.record import Record
from mlbench_core.results.parts import Part
from mlbench_core.results.plausible import implausible
from mlbench_core.results.results import Results
from mlbench_core.results.row import Row, plain
from mlbench_core.results.strict import MisfitError, structure
from mlbench_core.serialize import to_json
from mlbench_core.verify.rungs import ParityResult

T = TypeVar("T")

NAME = "benchmark_results.json"
SCHEMA, SCHEMA_VERSION = "mlbench-results", 4
SCHEMA_ID = f"urn:mlbench:results:{SCHEMA_VERSION}"
"""The `$id` of the JSON Schema that `mlbench schema results` prints."""
LARGEST_FILE = 2 * 2**30
"""Bytes; 1,000 cells of 10 blocks with 1,000 queries each take a fifth of it, and reading takes several times a file's size."""
RECORDS = b'"records": [\n'
"""The line of the file after which each record has one."""
PASSED_OVER = (b'"rows": [\n', b'"comparisons": [\n')
KEYS = {"config": dict, "machines": dict, "interrupted": bool, "parity": list, "records": list}
"""What is read back; rows and comparisons are computed from the records again."""


def save(results: Results, path: Path) -> Path:
    """Writes schema and version, configuration, machines, rows, comparisons and all records. Returns the path."""
    return replace_lines(path, _lines(results))


def _lines(results: Results) -> Iterator[str]:
    """The file line by line: a row, a comparison and a record have one each."""
    head = {
        "$schema": SCHEMA_ID,
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "interrupted": results.interrupted,
        "config": results.config,
        "machines": results.machines,
        "resumed": max(0, len(results.parts) - 1),
        "parts": to_json(results.parts),
    }
    lists: dict[str, Iterable[Any]] = {
        "machine_flags": map(to_json, results.machine_flags()),
        "parity": map(to_json, results.parity),
        "rows": map(_row, results.rows),
        "comparisons": map(to_json, results.comparisons),
        "records": ({"key": record.trial.key, **to_json(record)} for record in results.records),
    }
    yield "{"
    for key, value in head.items():
        yield f"{json.dumps(key)}: {text_of(value)},"
    for key, values in lists.items():
        yield f'"{key}": ['
        yield from _separated(values)
        yield "]" if key == "records" else "],"
    yield "}"


def _separated(values: Iterable[Any]) -> Iterator[str]:
    previous = None
    for value in values:
        if previous is not None:
            yield f"{previous},"
        previous = text_of(value)
    if previous is not None:
        yield previous


def text_of(value: Any) -> str:
    """The value as JSON in one line."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:  # rare: looked for only where it is
        return json.dumps(_finite(value), allow_nan=False)


def _finite(value: Any) -> Any:
    """The value with texts for the numbers that JSON does not have: a check that could not be made has the error nan."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _row(row: Row) -> dict[str, Any]:
    """A row by column name, its parity and flags as objects."""
    return plain(row) | {"parity": to_json(row.parity), "flags": to_json(row.flags)}


def load(path: Path | str) -> Results:
    """The results in a file that `save` wrote, or in the folder that holds it; rows and comparisons are computed anew.

    Raises ResultsError, one line, for a file that is not there, is cut off, is not of this schema and version, or holds what
    cannot be.
    """
    results, records = read(path, lambda record: record)
    return evolve(results, records=tuple(records))


def read(path: Path | str, take: Callable[[Record], T]) -> tuple[Results, list[T]]:
    """The same without a record, and beside it what `take` makes of each, one after the other: no more than that is in memory,
    whatever the records hold. Raises ResultsError like `load`."""
    file = Path(path) / NAME if os.path.isdir(path) else Path(path)
    try:
        data, taken = _parse(file, take)
        results = _results(data)
        if taken is None:
            taken = [take(_record(item, place)) for place, item in enumerate(data["records"])]
    except MisfitError as error:
        raise ResultsError(f"{file}: {error!s:.400}. Was it edited? Take the file as the run wrote it") from None
    return results, taken


def _results(data: dict[str, Any]) -> Results:
    """All but the records."""
    for key, kind in KEYS.items():
        if not isinstance(data.get(key), kind):
            raise MisfitError(f"{key!r} is missing or of another type")
    try:
        Config.parse(data["config"], "config")
    except ConfigError as error:
        raise MisfitError(str(error)) from None
    machines = {
        key: dict(structure(facts, MachineFacts, f"machines[{key!r}]")) for key, facts in data["machines"].items()
    }
    parity = tuple(structure(result, ParityResult, f"parity[{place}]") for place, result in enumerate(data["parity"]))
    return Results(
        records=(),
        config=data["config"],
        machines=machines,
        interrupted=data["interrupted"],
        parity=parity,
        parts=structure(data.get("parts", []), tuple[Part, ...], "parts"),
    )


def _record(item: Any, place: int) -> Record:
    if isinstance(item, dict):
        item.pop("key", None)
    record = structure(item, Record, f"records[{place}]")
    wrong = implausible(record)
    if wrong:
        raise MisfitError(f"records[{place}]: {wrong}")
    return record


def _parse(file: Path, take: Callable[[Record], T]) -> tuple[dict[str, Any], list[T] | None]:
    """The JSON object in a file of this schema and version, and what was taken of its records; None if they are still in it."""
    if not os.path.isfile(file):
        raise ResultsError(f"{file}: there is no such file; `mlbench run` writes {NAME} into its output folder")
    if os.path.getsize(file) > LARGEST_FILE:
        raise ResultsError(f"{file}: more than {LARGEST_FILE // 2**30} GiB; is it the results file of one run?")
    data, taken = _by_line(file, take) or (_whole(file), None)
    _check_schema(file, data)
    return dict(data), taken


def _by_line(file: Path, take: Callable[[Record], T]) -> tuple[dict[str, Any], list[T]] | None:
    """What a file in the layout of `save` holds but for rows and comparisons, and what was taken of its records, so that of
    their text no more than a line is in memory; None for any other file, or a wrong one.

    orjson takes a fifth of the time of `json`, and is not asked what is wrong.
    """
    taken: list[T] = []
    try:
        with file.open("rb") as lines:
            data = json.loads(b"".join(_head(lines)))
            more = True
            for line in lines:
                if line == b"]\n":
                    return (data, taken) if lines.read() == b"}\n" else None
                if not more:
                    return None
                more = line.endswith(b",\n")
                item = orjson.loads(line.removesuffix(b"\n").removesuffix(b","))
                taken.append(take(_record(item, len(taken))))
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        pass
    return None


def _head(lines: Iterator[bytes]) -> Iterator[bytes]:
    """The lines before the first record, with none where rows and comparisons are: they may be as large as the records, and
    nobody reads them back. Raises ValueError if no record begins a line."""
    for line in lines:
        yield line
        if line == RECORDS:
            yield b"]}"
            return
        if line in PASSED_OVER:
            yield next((end for end in lines if end == b"],\n"), b"")
    raise ValueError(f"no line is {RECORDS!r}")


def _whole(file: Path) -> Any:
    """The same from a file in any layout; ResultsError says what is wrong with it."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ResultsError(f"{file}: cannot be read ({error})") from None
    if not text.strip():
        raise ResultsError(f"{file}: the file is empty; `mlbench run` writes a new one")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        short = not text.rstrip().endswith("}") or error.pos >= len(text.rstrip())
        why = "the file ends too early: was it copied in full?" if short else error.msg
        raise ResultsError(f"{file}: not valid JSON at line {error.lineno}, column {error.colno}: {why}") from None
    except (RecursionError, ValueError):  # lists in lists without end; a number of thousands of digits
        raise ResultsError(f"{file}: nested too deep, or a number too long, for a results file") from None


def _check_schema(file: Path, data: Any) -> None:
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise ResultsError(f"{file}: not a results file of mlbench: it has no 'schema': {SCHEMA!r}")
    found = data.get("schema_version")
    if found == SCHEMA_VERSION:
        return
    if type(found) is int and found > SCHEMA_VERSION:
        raise ResultsError(
            f"{file}: of schema version {found}, and this mlbench reads version {SCHEMA_VERSION}: install the one that wrote it"
        )
    raise ResultsError(f"{file}: of schema version {found!r:.40}, which this mlbench no longer reads: run it again")
