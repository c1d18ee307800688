"""Watches a worker from outside while it runs: its resident memory, and its GPUs through NVML."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import fmean
from typing import NoReturn, TypeVar

import psutil
from attrs import evolve

from mlbench_core.executors.gpu import Gpus, watched
from mlbench_core.record import Observed, Timeline

T = TypeVar("T")
Row = tuple[float, str, int, int | None, float | None]
"""Seconds since the start, phase, resident bytes, bytes on the device, percent busy."""

INTERVAL_S = 0.1
STEADY = {"measure", "step_latency", "train", "latency"}
"""The phases in which the worker does what its trial is about: averages are over these."""
LONGEST = 1200
"""Samples in a timeline; when there are more, every other one is dropped, and only every other new one kept."""


class Monitor:
    """Samples a process every 0.1 s in a thread of its own; `phase` and `waiting` are kept up to date by whoever reads its
    events. While it waits for its turn it is not sampled: nothing happens, and others are being timed."""

    def __init__(self, pid: int, gpus: str = "") -> None:
        self.phase, self.waiting = "", False
        self._pid, self._entries = pid, gpus
        self._rows: list[Row] = []
        self._steady: list[tuple[int, int | None, float | None]] = []
        self._device_peak: int | None = None
        self._device_peaks: list[int] = []
        self._summary: dict[str, float] = {}
        self.resident: int | None = None
        """Bytes when it was last looked at."""
        self._start = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Starts the sampling."""
        self._thread.start()

    def stop(self, wall_s: float) -> Observed:
        """Ends the sampling, if it has started, and returns what was seen."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        gpu = bool(self._summary)
        timeline = Timeline(
            seconds=[round(row[0], 2) for row in self._rows],
            phase=[row[1] for row in self._rows],
            host_bytes=[row[2] for row in self._rows],
        )
        if gpu:
            timeline = evolve(
                timeline,
                device_bytes=_whole(row[3] for row in self._rows),
                gpu_pct=_whole(row[4] for row in self._rows),
            )
        return Observed(
            wall_s=wall_s,
            host_average_bytes=_mean(host for host, _, _ in self._steady),
            device_average_bytes=_mean(device for _, device, _ in self._steady) if gpu else None,
            device_peak_bytes=self._device_peak,
            device_peaks_bytes=self._device_peaks,
            gpu_utilization_pct=_mean(busy for _, _, busy in self._steady) if gpu else None,
            timeline=timeline,
            gpu=self._summary,
        )

    def _run(self) -> None:
        with watched(self._entries, self._pid) as gpu:
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError), _resident(self._pid) as resident:
                stride = taken = 1
                while not self._stop.wait(INTERVAL_S):
                    if self.waiting:
                        continue
                    row = self._sample(resident, gpu)
                    if taken % stride == 0:
                        self._rows.append(row)
                    if len(self._rows) > LONGEST:
                        del self._rows[::2]
                        stride *= 2
                    taken += 1
            if gpu:
                self._summary, self._device_peaks = gpu.summary(), gpu.peaks_bytes()

    def _sample(self, resident: Callable[[], int], gpu: Gpus | None) -> Row:
        phase, host, device, busy = self.phase, resident(), None, None
        self.resident = host
        if gpu:
            reading = gpu.read()
            device, busy = reading.memory_bytes, reading.busy_pct
            if device is not None:
                self._device_peak = max(self._device_peak or 0, device)
        if phase in STEADY:
            self._steady.append((host, device, busy))
            if gpu:
                gpu.read_more()
        return time.monotonic() - self._start, phase, host, device, busy


@contextlib.contextmanager
def _resident(pid: int, proc: Path = Path("/proc")) -> Iterator[Callable[[], int]]:
    """What tells a process's resident bytes, as long as it runs: then psutil.NoSuchProcess or ProcessLookupError is raised.

    A sample takes time from a worker that uses all CPUs. Where there is Linux's /proc its file stays open and is read again:
    45 us after a sleep, where psutil took 136 and slowed a loop on the same CPU by 0.25 % (standard error 0.11 %).
    """
    if not (proc / "self" / "statm").exists():
        process = psutil.Process(pid)
        yield lambda: int(process.memory_info().rss)
        return
    try:
        file = os.open(proc / str(pid) / "statm", os.O_RDONLY)
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        yield lambda: (_pages(file) or _gone(pid)) * page
    finally:
        os.close(file)


def _pages(statm: int) -> int:
    return int(os.pread(statm, 256, 0).split()[1])


def _gone(pid: int) -> NoReturn:
    """A process that has ended and that nobody has asked about yet has no pages."""
    raise ProcessLookupError(pid)


def _whole(values: Iterable[T | None]) -> list[T]:
    """The column, if nothing is missing in it; else empty, as columns of a time line are equally long."""
    found = list(values)
    known = [value for value in found if value is not None]
    return known if len(known) == len(found) else []


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean of what is known, or None of nothing."""
    found = [value for value in values if value is not None]
    return fmean(found) if found else None
