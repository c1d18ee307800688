"""Watches a worker from outside while it runs: its resident memory, and its GPU through NVML."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import fmean

import psutil
from attrs import evolve

from mlbench_core.runner.gpu import Gpu, watched
from mlbench_core.trial import Observed, Timeline

INTERVAL_S = 0.1
STEADY = {"measure", "step_latency", "train", "latency"}
"""The phases in which the worker does what its trial is about: averages are over these."""
LONGEST = 1200
"""Samples in a timeline; when there are more, every other one is dropped, and only every other new one kept."""


class Monitor:
    """Samples a process every 0.1 s in a thread of its own; `phase` and `waiting` are kept up to date by whoever reads its
    events. While it waits for its turn it is not sampled: nothing happens, and others are being timed."""

    def __init__(self, pid: int, gpu: str | None) -> None:
        self.phase, self.waiting = "", False
        self._pid, self._entry = pid, gpu
        self._rows: list[tuple[float, str, int, int, float]] = []
        self._steady: list[tuple[int, int, float]] = []
        self._device_peak = 0
        self._summary: dict[str, float] = {}
        self._start = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self, wall_s: float) -> Observed:
        """Ends the sampling and returns what was seen."""
        self._stop.set()
        self._thread.join()
        gpu = bool(self._summary)
        timeline = Timeline(
            seconds=[round(row[0], 2) for row in self._rows],
            phase=[row[1] for row in self._rows],
            host_bytes=[row[2] for row in self._rows],
        )
        if gpu:
            timeline = evolve(
                timeline, device_bytes=[row[3] for row in self._rows], gpu_pct=[row[4] for row in self._rows]
            )
        return Observed(
            wall_s=wall_s,
            host_average_bytes=_mean(host for host, _, _ in self._steady),
            device_average_bytes=_mean(device for _, device, _ in self._steady) if gpu else None,
            device_peak_bytes=self._device_peak if gpu else None,
            gpu_utilization_pct=_mean(busy for _, _, busy in self._steady) if gpu else None,
            timeline=timeline,
            gpu=self._summary,
        )

    def _run(self) -> None:
        with watched(self._entry, self._pid) as gpu:
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
                self._summary = gpu.summary()

    def _sample(self, resident: Callable[[], int], gpu: Gpu | None) -> tuple[float, str, int, int, float]:
        phase, host, device, busy = self.phase, resident(), 0, 0.0
        if gpu:
            reading = gpu.read()
            device, busy = reading.memory_bytes, reading.busy_pct
            self._device_peak = max(self._device_peak, device)
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
        yield lambda: int(os.pread(file, 256, 0).split()[1]) * page
    finally:
        os.close(file)


def _mean(values: Iterable[float]) -> float | None:
    """The mean, or None of nothing."""
    found = list(values)
    return fmean(found) if found else None
