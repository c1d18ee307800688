"""The journal: one line per finished trial, on the disk as it ends."""

from __future__ import annotations

import json
import os
from pathlib import Path

from mlbench_core.trial import Record, to_json


class Journal:
    """Appends records to `journal.jsonl`; a kill at any moment loses no finished trial."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def append(self, record: Record) -> None:
        """Writes one record and waits until the disk has it."""
        self._file.write(json.dumps({"key": record.trial.key, **to_json(record)}) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
