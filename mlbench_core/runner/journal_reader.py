"""Reads a journal with distrust: a last line that is cut off is left out, any other damage is an error that names its line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from attrs import field, frozen

from mlbench_core.config import Config
from mlbench_core.errors import ConfigError, JournalError
from mlbench_core.machine.known import MachineFacts
from mlbench_core.record import Record
from mlbench_core.results.plausible import implausible
from mlbench_core.results.strict import MisfitError, structure
from mlbench_core.runner.batches import Found
from mlbench_core.runner.journal import (
    BATCH,
    HEADER,
    MACHINE,
    PARITY,
    RECORD,
    RESUMED,
    SCHEMA,
    SCHEMA_VERSION,
    End,
    Header,
    sum_of,
)
from mlbench_core.verify.rungs import ParityResult

LONGEST_LINE = 16 * 2**20
"""Bytes; a trial of 1,000 values and 10,000 queries takes half a megabyte."""
LARGEST_FILE = 2 * 2**30
"""Bytes, as of a results file."""
LINE = re.compile(rb'\{"sum": "([0-9a-f]{16})", (.*)\n', re.DOTALL)


@frozen(kw_only=True)
class Contents:
    """What a journal holds.

    headers: one per part. records: each with the number of its part, from 0, in the order in which they ended; one that was
    run again is there again. parity: None if the models were not verified. batches: the largest, of each arm for which that was
    looked for. machines: facts by key. torn: whether something
    follows the `end` that was cut off as it was written.
    """

    headers: tuple[Header, ...]
    records: tuple[tuple[int, Record], ...]
    parity: tuple[ParityResult, ...] | None
    batches: tuple[Found, ...]
    machines: dict[str, dict[str, Any]]
    end: End
    torn: bool


def read(path: Path) -> Contents | None:
    """What the journal at `path` holds; None if there is none, or if not even its first line was finished.

    Raises JournalError, one line that names the file and the number of the line, for whatever no run writes.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise JournalError(f"{path}: more than {LARGEST_FILE // 2**30} GiB; is it the journal of one run?")
        with path.open("rb") as file:
            return _contents(path, file)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise JournalError(f"{path}: cannot be read ({error.strerror})") from None


@frozen(kw_only=True)
class _Found:
    """What the lines so far held."""

    headers: list[Header] = field(factory=list)
    records: list[tuple[int, Record]] = field(factory=list)
    parity: list[tuple[ParityResult, ...]] = field(factory=list)
    batches: list[Found] = field(factory=list)
    machines: dict[str, dict[str, Any]] = field(factory=dict)


def _contents(path: Path, file: IO[bytes]) -> Contents | None:
    found, size, last = _Found(), 0, ""
    for number, line in enumerate(_lines(path, file), 1):
        if not line.endswith(b"\n"):
            break
        try:
            last = _take(line, number, last, found)
        except MisfitError as error:
            raise JournalError(f"{path}: line {number}: {error!s:.400}{_what_to_do(number)}") from None
        size += len(line)
    if not found.headers:
        return None
    return Contents(
        headers=tuple(found.headers),
        records=tuple(found.records),
        parity=found.parity[-1] if found.parity else None,
        batches=tuple(found.batches),
        machines=found.machines,
        end=End(size=size, sum=last, machines=frozenset(found.machines)),
        torn=size < path.stat().st_size,
    )


def _lines(path: Path, file: IO[bytes]) -> Iterator[bytes]:
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise JournalError(f"{path}: line {number}: longer than {LONGEST_LINE // 2**20} MiB{_what_to_do(number)}")
        yield line


def _what_to_do(number: int) -> str:
    if number == 1:
        return ". Is it a journal of this version of mlbench? Another folder (--output) or --overwrite begins anew"
    return ". Was it edited, or is the disk at fault? Take the file as the run wrote it, or begin anew (--overwrite)"


def _take(line: bytes, number: int, before: str, found: _Found) -> str:
    """Adds what a line holds; returns its sum. Raises MisfitError for what no run writes there."""
    match = LINE.fullmatch(line)
    if match is None:
        raise MisfitError("it does not begin with a checksum, as every line of a journal does")
    told, content = match[1].decode(), match[2]
    if sum_of(before, content) != told:
        raise MisfitError("its checksum is wrong: the line is damaged, or one before it is missing")
    try:
        data = json.loads(b"{" + content)
    except (ValueError, RecursionError):  # nobody but a forger gets here: the sum is right
        raise MisfitError("it is not JSON, or nested too deep") from None
    kind, value = data.get("kind"), data.get("data")
    if (kind == HEADER) is not (number == 1):
        raise MisfitError("the header must be the first line, and no other")
    if kind in (HEADER, RESUMED):
        _check_schema(value)
        header = structure(value, Header, kind)
        _check_config(header)
        found.headers.append(header)
        found.machines.setdefault(header.machine, dict(header.facts))
    elif kind == MACHINE and isinstance(value, dict) and isinstance(value.get("key"), str):
        found.machines[value["key"]] = dict(structure(value.get("facts"), MachineFacts, "facts"))
    elif kind == PARITY:
        found.parity.append(structure(value, tuple[ParityResult, ...], "parity"))
    elif kind == BATCH:
        found.batches.append(structure(value, Found, "batch"))
    elif kind == RECORD:
        record = structure(value, Record, "record")
        wrong = implausible(record)
        if wrong:
            raise MisfitError(f"record: {wrong}")
        found.records.append((len(found.headers) - 1, record))
    else:
        raise MisfitError(f"{kind!r:.40} is no kind of line that is known")
    return told


def _check_schema(data: Any) -> None:
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise MisfitError(f"it has no 'schema': {SCHEMA!r}")
    if data.get("schema_version") != SCHEMA_VERSION:
        raise MisfitError(
            f"it is of schema version {data.get('schema_version')!r:.40}, and this mlbench reads version {SCHEMA_VERSION}"
        )


def _check_config(header: Header) -> None:
    try:
        Config.parse(header.config, "config")
    except ConfigError as error:
        raise MisfitError(str(error)) from None
