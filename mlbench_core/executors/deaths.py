"""Why a worker died that said nothing: a signal, an exit status, or that the kernel took its memory back."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import psutil

from mlbench_core.worker.failure import SHORT, whose

MEMORY_ERROR = re.compile(r"\bMemoryError\b")
"""Python's own, for the host's memory."""
PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
NEAR = 0.9
"""The share of its limit from which a process that was killed is taken to have been killed for its memory (own): samples are a
tenth of a second apart."""


def out_of_memory_kills(proc: Path = PROC, cgroups: Path = CGROUPS) -> int | None:
    """How many processes the kernel has killed so far for lack of memory: in this process's control group, or where that does
    not count, on the machine. None where nobody counts."""
    for folder in _folders(proc, cgroups):
        for name in ("memory.events", "memory.oom_control"):
            count = _counter(folder / name)
            if count is not None:
                return count
    return _counter(proc / "vmstat")


def memory_limit(proc: Path = PROC, cgroups: Path = CGROUPS) -> int:
    """Bytes that this process and its workers may have: the machine's, or the least that a control group leaves."""
    limits = [psutil.virtual_memory().total]
    for folder in _folders(proc, cgroups):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with contextlib.suppress(OSError, ValueError):  # the former may say "max"
                limits.append(int((folder / name).read_text()))
    return min(limits)


def lacked_memory(
    code: int, kills: tuple[int | None, int | None], resident: int | None, log: list[str], device: str
) -> Literal["device", "host"] | None:
    """Whose memory was short, if that is why a worker died that its parent did not end; None if it was not.

    code: subprocess's, a signal is negative. kills: `out_of_memory_kills` before its start and after its end. resident: its
    bytes when last looked at. log: its end, which says so where the worker aborted, or exited with a status, as it does if
    another of the processes that train together fails. device: the trial's.
    """
    if code == -signal.SIGKILL:
        before, after = kills
        counted = before is not None and after is not None and after > before
        return "host" if counted or (resident is not None and resident >= NEAR * memory_limit()) else None
    said = [line for line in log if SHORT.search(line) or MEMORY_ERROR.search(line)]
    if not said or not (code == -signal.SIGABRT or code > 0):
        return None
    return "host" if MEMORY_ERROR.search(said[-1]) else whose(said[-1], device)


def signal_name(code: int) -> str:
    """The signal that ended a process; empty if it exited by itself."""
    if code >= 0:
        return ""
    try:
        return signal.Signals(-code).name
    except ValueError:  # a real-time signal has a number only
        return f"signal {-code}"


def _folders(proc: Path, cgroups: Path) -> Iterator[Path]:
    """Where the memory of this process's control group is accounted, the innermost group first, of either version."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = cgroups / "memory" if controllers else cgroups
        place = top / path.lstrip("/")  # as the machine names it: a container may see no more than the top
        while place != top and top in place.parents:
            yield place
            place = place.parent
        yield top


def _counter(file: Path) -> int | None:
    with contextlib.suppress(OSError):
        for line in file.read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return None
