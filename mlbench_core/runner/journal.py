"""The journal: a header, then a checksummed line per finished record, each on the disk before the next trial starts.

A line is JSON: `{"sum": "16 digits", "kind": ..., "data": ...}`. The sum is of the line's text from "kind" on and of the sum
of the line before, so that a line that was changed, lost, doubled or moved is noticed, and where. `journal_reader` reads it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import IO, Any

from attrs import field, frozen

from mlbench_core.errors import JournalError
from mlbench_core.machine.known import MachineFacts
from mlbench_core.record import Record
from mlbench_core.results.parts import Part
from mlbench_core.results.storage import text_of
from mlbench_core.runner.batches import Found
from mlbench_core.serialize import to_json
from mlbench_core.verify.rungs import ParityResult

NAME = "journal.jsonl"
SCHEMA, SCHEMA_VERSION = "mlbench-journal", 1
HEADER, RESUMED, MACHINE, PARITY, BATCH, RECORD = "header", "resumed", "machine", "parity", "batch", "record"
"""The kinds of lines: how the run began, how it was resumed, a machine that was not known, what verification found, the largest
batch of an arm, a trial."""


@frozen(kw_only=True)
class Header:
    """What a part of a run begins with; the first is the run's own.

    run: names the run in all its parts. started: ISO 8601, UTC. mlbench: its version. versions: by framework, those of its
    plugin's distribution and of what that requires, as far as the parent knows them. config_digest: of `config` less its
    output. skipped: frameworks that were left out. verify: whether models are verified. strict: whether it has another exit
    status if frameworks are not comparable (`--strict`). folder: the working directory. planned: what the trials are of, by key
    of the configuration, and their digest. seed: of their order. machine: the key of `facts`. forced: see `Part`.
    """

    schema: str = SCHEMA
    schema_version: int = SCHEMA_VERSION
    run: str
    started: str
    mlbench: str
    versions: dict[str, dict[str, str]] = field(factory=dict)
    config_digest: str
    config: dict[str, Any]
    skipped: tuple[str, ...] = ()
    verify: bool = True
    strict: bool = False
    folder: str
    planned: dict[str, list[str]] = field(factory=dict)
    seed: int
    machine: str
    facts: MachineFacts
    forced: tuple[str, ...] = ()

    @property
    def part(self) -> Part:
        """The part that begins here."""
        return Part(started=self.started, machine=self.machine, forced=self.forced)


@frozen(kw_only=True)
class End:
    """Where a journal ends: after so many bytes, with a line of that sum. machines: the keys of those that it knows."""

    size: int
    sum: str
    machines: frozenset[str]


def sum_of(before: str, content: bytes) -> str:
    """The checksum of a line: of its text and the sum of the line before."""
    return hashlib.sha256(before.encode() + content).hexdigest()[:16]


def line_of(before: str, kind: str, data: Any) -> tuple[str, bytes]:
    """A line's sum, and the line. before: the sum of the line before, empty for the first."""
    content = text_of({"kind": kind, "data": data})[1:].encode()
    found = sum_of(before, content)
    return found, f'{{"sum": "{found}", '.encode() + content + b"\n"


class Journal:
    """Appends to `journal.jsonl`; a kill at any moment loses no finished trial. Raises JournalError if it cannot write."""

    def __init__(self, path: Path, header: Header, end: End | None = None) -> None:
        """Begins the journal with a header, or goes on with it at its `end`, where the run is resumed."""
        self._path, self._sum = path, end.sum if end else ""
        self._machines = {header.machine} | (end.machines if end else frozenset())
        try:
            self._file: IO[bytes] = path.open("r+b" if end else "wb")
            self._file.truncate(end.size if end else 0)  # what was torn off is not written to
            self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise self._error(error) from None
        self._write(RESUMED if end else HEADER, to_json(header))
        _sync_folder(path.parent)

    def add_parity(self, results: tuple[ParityResult, ...]) -> None:
        """Writes what verification found."""
        self._write(PARITY, to_json(results))

    def add_batch(self, found: Found) -> None:
        """Writes the largest batch of an arm."""
        self._write(BATCH, to_json(found))

    def add(self, record: Record, facts: dict[str, Any]) -> None:
        """Writes a record and waits until the disk has it. facts: about the machine that it names."""
        if record.machine and record.machine not in self._machines:
            self._write(MACHINE, {"key": record.machine, "facts": facts})
            self._machines.add(record.machine)
        self._write(RECORD, to_json(record))

    def close(self) -> None:
        """Closes the file."""
        with contextlib.suppress(OSError):  # a line that found no room has been told of
            self._file.close()

    def _write(self, kind: str, data: Any) -> None:
        found, line = line_of(self._sum, kind, data)
        try:
            if os.fstat(self._file.fileno()).st_nlink == 0:
                raise JournalError(f"{self._path}: was removed while the run wrote to it, so the run was stopped")
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._error(error) from None
        self._sum = found

    def _error(self, error: OSError) -> JournalError:
        return JournalError(
            f"{self._path}: cannot be written ({error.strerror}); what is in it is kept: mend that, then go on with "
            f"`mlbench resume {self._path.parent}`"
        )


def _sync_folder(folder: Path) -> None:
    """Waits until the disk has the folder's entries: a new file's name is one."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # a file system that cannot do it for folders
    finally:
        os.close(descriptor)
