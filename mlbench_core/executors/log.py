"""The log of a worker: what it prints, its first and its last MiBs, however much that is."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import IO

FIRST, LAST = 4 * 2**20, 2**20
"""Bytes that are kept: of the beginning as they come, of the rest the last ones, once the worker has ended."""
LONGEST_LINE = 500
"""Characters of a line that is shown elsewhere."""


class Log:
    """A file that takes any number of bytes and no more room than `FIRST + LAST`.

    A file that cannot be made or written (a full disk, a folder that is gone) costs the log and nothing else: the last lines
    are known all the same.
    """

    def __init__(self, path: Path) -> None:
        self._total, self._tail = 0, bytearray()
        self._file: IO[bytes] | None = None
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("wb", buffering=0)

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        beyond = self._total - FIRST
        kept = bytes(self._tail[-min(beyond, LAST) :]) if beyond > 0 else b""
        if beyond > len(kept):
            self._write(f"\n[mlbench: {beyond - len(kept)} bytes are left out here]\n".encode())
        self._write(kept)
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()

    def write(self, data: bytes) -> None:
        """Takes what was printed."""
        self._write(data[: max(0, FIRST - self._total)])
        self._total += len(data)
        self._tail += data
        if len(self._tail) > 2 * LAST:
            del self._tail[:-LAST]

    def last_lines(self, count: int) -> list[str]:
        """The last lines that are not empty, each cut where it is long."""
        lines = (line.strip() for line in self._tail.decode(errors="replace").splitlines())
        return [line[:LONGEST_LINE] for line in lines if line][-count:]

    def _write(self, data: bytes) -> None:
        if self._file is None or not data:
            return
        try:
            self._file.write(data)
        except OSError:
            self._file.close()
            self._file = None
