"""What others, and the system, did to this process while it measured: CPU time taken, preemption, throttling, swapping.

A process that waits for its turn is not measured, so the counters run only while it has it. They are read where a turn begins
and ends, never between: reading them takes about 0.2 ms.
"""

from __future__ import annotations

import math
import os
import resource
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

PROC, CGROUP = Path("/proc"), Path("/sys/fs/cgroup")
BUSY = (0, 1, 2, 5, 6)
"""Of a CPU's counters in /proc/stat: user, nice, system, irq and softirq (man 5 proc_stat); guests count as user."""
STEAL = 7


class Disturbance:
    """Counters that are on between `resume` and `pause`.

    wall_s: how long they were on. own_cpu_s: CPU time of this process, all its threads and all that it has started. cpus: those
    that it may use. others_cpu_s: of all other processes on these CPUs. steal_s: in which the machine's host ran somebody else.
    resolution_s: how far these two may be off, as the system counts the time of each CPU in hundredths of a second. preempted:
    involuntary context switches of this process. page_faults: pages of memory taken anew from the system; many per step mean
    that the allocator gives memory back and takes it again, as glibc's may. cgroup_throttled_s: in which a control group's CPU
    limit held its processes back. swapped_bytes: of this process, in swap space. cpu_pressure_s: in which some process of the
    machine, this one included, waited for a CPU. What the system does not tell is absent.
    """

    def __init__(self) -> None:
        self._cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
        self._total: dict[str, float] = {}
        self._start: dict[str, float] | None = None
        self._intervals = 0
        self._family = _family()

    def resume(self) -> None:
        """Goes on counting."""
        self._start = _now(self._cpus, self._family)

    def pause(self) -> None:
        """Stops counting; harmless if it had stopped."""
        if self._start is None:
            return
        self._family = _family()  # looked for here, where nothing is timed afterwards
        now = _now(self._cpus, self._family)
        for name, before in self._start.items():
            if name in now:
                self._total[name] = self._total.get(name, 0.0) + now[name] - before
        self._start = None
        self._intervals += 1

    @contextmanager
    def on(self) -> Iterator[None]:
        """Counts meanwhile."""
        self.resume()
        yield
        self.pause()

    def counters(self) -> dict[str, float]:
        """What was counted so far."""
        found = dict(self._total)
        busy = found.pop("busy_s", None)
        if busy is None or not self._cpus:
            return found
        found["cpus"] = float(len(self._cpus))
        # A reading of a CPU is up to a tick behind, and errors of independent readings add up as their root.
        found["resolution_s"] = math.sqrt(len(self._cpus) * self._intervals) / os.sysconf("SC_CLK_TCK")
        if (
            found["own_cpu_s"] <= 2 * busy + found["resolution_s"]
        ):  # else it is not this machine's: sandboxes make one up
            found["others_cpu_s"] = max(0.0, busy - found["own_cpu_s"])
        return found


def _family() -> list[psutil.Process]:
    """The processes that this one has started and that still run, and theirs. Nobody is looked for where there can be none."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except (ChildProcessError, AttributeError):  # no child, or a system without waitid
        return []
    import psutil

    with suppress(psutil.Error):
        return psutil.Process().children(recursive=True)
    return []


def _cpu_of(family: Iterable[psutil.Process]) -> float:
    """CPU seconds of these and of those that they have waited for."""
    seconds = 0.0
    for process in family:
        with suppress(Exception):  # it has ended meanwhile: its time counts among that of children waited for
            seconds += sum(process.cpu_times()[:4])
    return seconds


def _now(cpus: list[int] | None, family: Iterable[psutil.Process]) -> dict[str, float]:
    usage, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    found = {
        "wall_s": time.perf_counter(),
        "own_cpu_s": usage.ru_utime + usage.ru_stime + ended.ru_utime + ended.ru_stime + _cpu_of(family),
        "preempted": float(usage.ru_nivcsw),
        "page_faults": float(usage.ru_minflt),
    }
    found |= _cpu_times(cpus)
    throttled = _throttled()
    if throttled is not None:
        found["cgroup_throttled_s"] = throttled
    swapped = _number(PROC / "self" / "status", "VmSwap:")
    if swapped is not None:
        found["swapped_bytes"] = swapped * 1024.0
    waited = _pressure()
    if waited is not None:
        found["cpu_pressure_s"] = waited
    return found


def _cpu_times(cpus: list[int] | None) -> dict[str, float]:
    """Seconds that these CPUs were busy, and that were stolen from them, since the system started."""
    if cpus is None:
        return {}
    wanted = {f"cpu{number}" for number in cpus}
    busy = steal = 0
    seen = 0
    for words in map(str.split, _lines(PROC / "stat")):
        if words and words[0] in wanted:
            times = [int(word) for word in words[1:]]
            busy += sum(times[place] for place in BUSY)
            steal += times[STEAL] if len(times) > STEAL else 0
            seen += 1
    if seen < len(wanted):
        return {}
    ticks = os.sysconf("SC_CLK_TCK")
    return {"busy_s": busy / ticks, "steal_s": steal / ticks}


def _pressure() -> float | None:
    """Seconds in which some process waited for a CPU (pressure stall information); None where the system does not tell."""
    for words in map(str.split, _lines(PROC / "pressure" / "cpu")):
        if words and words[0] == "some":
            return next((int(word[6:]) / 1e6 for word in words if word.startswith("total=")), None)
    return None


def _throttled() -> float | None:
    """Seconds of throttling by the CPU limits, of version 2 or 1, of this process's control group and of those around it; None
    where there is none to read."""
    found = None
    for folder in _groups():
        microseconds = _number(folder / "cpu.stat", "throttled_usec")
        nanoseconds = _number(folder / "cpu.stat", "throttled_time")
        for count, unit in ((microseconds, 1e6), (nanoseconds, 1e9)):
            if count is not None:
                found = (found or 0.0) + count / unit
    return found


def _groups() -> list[Path]:
    """The folders of the control groups that may limit this process's CPU time, its own and those around it. In a container its
    own may lie at the top, whatever path is told."""
    found: list[Path] = []
    for line in _lines(PROC / "self" / "cgroup"):
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        roots = (CGROUP / controllers, CGROUP / "cpu") if controllers else (CGROUP,)
        top = next((root for root in roots if root.is_dir()), None)
        if top is not None:
            group = top / path.strip("/")
            found += [group, *(folder for folder in group.parents if folder == top or top in folder.parents)]
    return found or [CGROUP, CGROUP / "cpu"]


def _number(file: Path, name: str) -> int | None:
    return next((int(words[1]) for words in map(str.split, _lines(file)) if words and words[0] == name), None)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
