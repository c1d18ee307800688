"""This process's own memory, as the kernel counts it."""

from __future__ import annotations

import os
from pathlib import Path

from mlbench_core.record import MemoryReading

STATUS, CLEAR, NOW = Path("/proc/self/status"), Path("/proc/self/clear_refs"), Path("/proc/self/statm")


def reset_host_peak() -> None:
    """Lets the peak start again at the present resident size; where the kernel forbids it, the peak covers the whole process.

    Writing 5 to clear_refs resets VmHWM (man 5 proc). `ru_maxrss` cannot be reset, and a child inherits its parent's.
    """
    try:
        CLEAR.write_text("5")
    except OSError:
        return


def host_peak() -> list[MemoryReading]:
    """The peak resident size in bytes (VmHWM), or nothing where there is no /proc."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return []
    return [MemoryReading("host_peak", int(line.split()[1]) * 1024) for line in lines if line.startswith("VmHWM:")]


def resident() -> int | None:
    """The present resident size in bytes, or None where there is no /proc."""
    try:
        return int(NOW.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None
