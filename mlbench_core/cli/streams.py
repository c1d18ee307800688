"""The standard streams: that nobody reads them any more, or that their disk is full, ends no run."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any, TextIO

GONE = (errno.EPIPE, errno.EIO)
"""The reader of a pipe has left, or the terminal was closed: no fault."""


class _Forgiving(io.FileIO):
    """A file whose failures to write are remembered, not raised."""

    fault: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError as error:
            self.fault = self.fault or error
            return memoryview(data).nbytes


def forgiving(descriptor: int, buffered: bool = False) -> TextIO:
    """A text stream to a descriptor that never fails to write; each line is written at once unless it is buffered."""
    raw = _Forgiving(descriptor, "wb", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=not buffered
    )


def forgive() -> None:
    """From now on the standard output and the standard error never fail to write."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        try:
            os.fstat(descriptor)
        except OSError:
            continue  # the caller has closed it
        stream = getattr(sys, name)
        made = forgiving(descriptor, buffered=name == "stdout" and not stream.isatty())
        made.reconfigure(encoding=stream.encoding)  # type: ignore[attr-defined]
        setattr(sys, name, made)


def fault_of(stream: Any) -> str:
    """Why a forgiving stream could not be written; empty if it could, or if nobody reads it any more."""
    stream.flush()
    fault = getattr(getattr(getattr(stream, "buffer", None), "raw", None), "fault", None)
    return "" if fault is None or fault.errno in GONE else str(fault.strerror)
