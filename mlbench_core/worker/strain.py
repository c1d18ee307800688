"""What the system does to this process while it measures: throttling, swapping, preemption."""

from __future__ import annotations

import resource
from pathlib import Path

CGROUP, STATUS = Path("/sys/fs/cgroup"), Path("/proc/self/status")


def counters() -> dict[str, float]:
    """Counters since the process began, those that the system has: subtract two readings.

    cgroup_throttled_s: seconds in which the control group's CPU limit held its processes back (cgroup v2). swapped_bytes:
    of this process, in swap space. preempted: involuntary context switches. page_faults: pages of memory taken anew from the
    system; many per step mean that the allocator gives memory back and takes it again, as glibc's may.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    found = {"preempted": float(usage.ru_nivcsw), "page_faults": float(usage.ru_minflt)}
    throttled = _line(CGROUP / "cpu.stat", "throttled_usec")
    if throttled is not None:
        found["cgroup_throttled_s"] = throttled / 1e6
    swapped = _line(STATUS, "VmSwap:")
    if swapped is not None:
        found["swapped_bytes"] = swapped * 1024
    return found


def since(before: dict[str, float]) -> dict[str, float]:
    """How far the counters have moved since `before`."""
    now = counters()
    return {name: now[name] - value for name, value in before.items() if name in now}


def _line(file: Path, name: str) -> int | None:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    return next((int(words[1]) for words in map(str.split, lines) if words and words[0] == name), None)
