"""Watches a worker from outside while it runs: its resident memory, and its GPU through NVML."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from statistics import fmean
from typing import Any

import psutil

from mlbench_core.runner import devices
from mlbench_core.trial import Observed

INTERVAL_S = 0.1
STEADY = {"measure", "train", "latency"}
"""The phases that are sampled: those in which the worker does what its trial is about."""


class Monitor:
    """Samples a process every 0.1 s in a thread of its own; `phase` is kept up to date by whoever reads its events."""

    def __init__(self, pid: int, gpu: str | None) -> None:
        self.phase = ""
        self._pid, self._gpu = pid, gpu
        self._host: list[float] = []
        self._device: list[float] = []
        self._busy: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self, wall_s: float) -> Observed:
        """Ends the sampling and returns the means over the steady phases."""
        self._stop.set()
        self._thread.join()
        return Observed(
            wall_s=wall_s,
            host_average_bytes=fmean(self._host) if self._host else None,
            device_average_bytes=fmean(self._device) if self._device else None,
            gpu_utilization_pct=fmean(self._busy) if self._busy else None,
            samples=len(self._host),
        )

    def _run(self) -> None:
        with ExitStack() as stack:
            library = stack.enter_context(devices.nvml()) if self._gpu else None
            gpu = devices.handle(library, self._gpu) if library and self._gpu else None
            idle = library.nvmlDeviceGetMemoryInfo(gpu).used if library else 0
            try:
                process = psutil.Process(self._pid)
                while not self._stop.wait(INTERVAL_S):
                    if self.phase in STEADY:
                        self._host.append(process.memory_info().rss)
                        if library:
                            self._sample_gpu(library, gpu, idle)
            except psutil.NoSuchProcess:
                return

    def _sample_gpu(self, library: Any, gpu: Any, idle: int) -> None:
        self._busy.append(library.nvmlDeviceGetUtilizationRates(gpu).gpu)
        try:
            mine = [p.usedGpuMemory for p in library.nvmlDeviceGetComputeRunningProcesses(gpu) if p.pid == self._pid]
        except library.NVMLError:
            mine = []
        # In a container or a virtual machine NVML may not know our process numbers: then what the card holds beyond what
        # it held when the worker started is ours.
        used = mine[0] if mine and mine[0] else library.nvmlDeviceGetMemoryInfo(gpu).used - idle
        self._device.append(used)
