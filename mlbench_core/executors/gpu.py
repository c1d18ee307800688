"""What NVML says of a worker's GPUs while it uses them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from statistics import fmean
from time import monotonic
from typing import Any

import psutil
from attrs import frozen

from mlbench_core.machine import gpus
from mlbench_core.machine.gpus import asked

THERMAL = ("SwThermalSlowdown", "HwThermalSlowdown")
POWER = ("SwPowerCap", "HwPowerBrakeSlowdown")


@frozen
class Reading:
    """One sample; None for what the card does not tell. memory_bytes: the worker's share. busy_pct: NVML's `utilization.gpu`,
    the share of time in which any kernel ran."""

    memory_bytes: int | None
    busy_pct: float | None


class Gpu:
    """One GPU, watched for one worker. Made by `watched`. A counter that the card does not have (a MIG slice's, a laptop's) is
    missing by itself: no method raises."""

    def __init__(self, library: Any, handle: Any, pids: Callable[[], Collection[int]]) -> None:
        self._nvml, self._pids, self._handle = library, pids, handle
        self.peak_bytes: int | None = None
        self._idle = self._used()
        self._clocks: list[float] = []
        self._watts: list[float] = []
        self._thermal: list[bool] = []
        self._capped: list[bool] = []
        self._others = 0
        self._energy: list[tuple[float, float]] = []  # (seconds, joules) at the first and the latest sample
        self._gpm = _Gpm(library, self._handle)

    def read(self) -> Reading:
        """One sample, at any time of the worker's life."""
        rates = asked(lambda: self._nvml.nvmlDeviceGetUtilizationRates(self._handle))
        memory = self._memory()
        if memory is not None:
            self.peak_bytes = max(self.peak_bytes or 0, memory)
        return Reading(memory, None if rates is None else rates.gpu)

    def read_more(self) -> None:
        """Clocks, power, energy and throttling, in a phase that counts."""
        nvml, handle = self._nvml, self._handle
        clock = asked(lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM))
        if clock is not None:
            self._clocks.append(clock)
        power = asked(lambda: nvml.nvmlDeviceGetPowerUsage(handle))
        if power is not None:
            self._watts.append(power / 1e3)
        reasons = asked(lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
        if reasons is not None:
            self._thermal.append(bool(reasons & self._bits(THERMAL)))
            self._capped.append(bool(reasons & self._bits(POWER)))
        energy = asked(lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle))
        if energy is not None:
            now = (monotonic(), energy / 1e3)
            self._energy = [self._energy[0] if self._energy else now, now]
        self._gpm.sample()

    def summary(self) -> dict[str, float]:
        """Means over the samples of `read_more`; a fact that the card does not tell is absent.

        sm_clock_mhz, power_w, thermal_slowdown and power_cap (shares of samples), other_processes (at most, at one time),
        energy_j over energy_s, sm_utilization_pct (GPM, where the card has it).
        """
        found: dict[str, float] = {"other_processes": float(self._others)}
        series = (("sm_clock_mhz", self._clocks), ("power_w", self._watts))
        found |= {name: fmean(values) for name, values in series if values}
        shares = (("thermal_slowdown", self._thermal), ("power_cap", self._capped))
        found |= {name: fmean(values) for name, values in shares if values}
        if self._energy:
            (start, first), (end, last) = self._energy
            found |= {"energy_s": end - start, "energy_j": last - first}
        utilization = self._gpm.utilization()
        return found if utilization is None else {**found, "sm_utilization_pct": utilization}

    def _bits(self, names: tuple[str, ...]) -> int:
        return sum(getattr(self._nvml, f"nvmlClocksThrottleReason{name}", 0) for name in names)

    def _used(self) -> int | None:
        memory = asked(lambda: self._nvml.nvmlDeviceGetMemoryInfo(self._handle))
        return None if memory is None else int(memory.used)

    def _memory(self) -> int | None:
        processes = asked(lambda: self._nvml.nvmlDeviceGetComputeRunningProcesses(self._handle)) or []
        pids = self._pids()
        mine = [process.usedGpuMemory for process in processes if process.pid in pids]
        if mine:
            self._others = max(self._others, len(processes) - len(mine))
            if all(mine):
                return int(sum(mine))
        else:
            # In a container or a virtual machine NVML may not know our process numbers: then one of them is ours, and so is
            # what the card holds beyond what it held when the worker started.
            self._others = max(self._others, len(processes) - 1)
        used = self._used()
        # What an earlier process had not yet given back counted as idle: then this one seems to hold less than nothing.
        return None if used is None or self._idle is None else max(0, used - self._idle)


class _Gpm:
    """SM utilisation by NVML's GPU performance monitoring, on cards that have it (Hopper and later): the share of SMs busy."""

    def __init__(self, library: Any, handle: Any) -> None:
        self._nvml, self._handle = library, handle
        self._samples: list[Any] = []
        support = asked(lambda: library.nvmlGpmQueryDeviceSupport(handle))
        if support is not None and support.isSupportedDevice:
            pair = asked(lambda: [library.nvmlGpmSampleAlloc(), library.nvmlGpmSampleAlloc()])
            self._samples = pair or []
        self._taken = 0

    def sample(self) -> None:
        """Keeps the first sample and the latest."""
        if self._samples:
            place = min(self._taken, 1)
            if asked(lambda: self._nvml.nvmlGpmSampleGet(self._handle, self._samples[place])) is not None:
                self._taken += 1

    def utilization(self) -> float | None:
        """Percent between the first sample and the latest; None without two."""
        if self._taken < 2:
            return None
        found = asked(self._between)
        for sample in self._samples:
            asked(partial(self._nvml.nvmlGpmSampleFree, sample))
        return found

    def _between(self) -> float:
        nvml = self._nvml
        request = nvml.c_nvmlGpmMetricsGet_t()
        request.version, request.numMetrics = nvml.NVML_GPM_METRICS_GET_VERSION, 1
        request.sample1, request.sample2 = self._samples
        request.metrics[0].metricId = nvml.NVML_GPM_METRIC_SM_UTIL
        return float(nvml.nvmlGpmMetricsGet(request).metrics[0].value)


class Gpus:
    """The GPUs of one worker together: memory and energy are sums, shares and clocks are means over them."""

    def __init__(self, each: Sequence[Gpu]) -> None:
        self._each = each

    def read(self) -> Reading:
        """One sample of all. A sum of which one part is unknown is unknown."""
        found = [gpu.read() for gpu in self._each]
        memory = [reading.memory_bytes for reading in found if reading.memory_bytes is not None]
        busy = [reading.busy_pct for reading in found if reading.busy_pct is not None]
        return Reading(
            sum(memory) if len(memory) == len(found) else None, fmean(busy) if len(busy) == len(found) else None
        )

    def read_more(self) -> None:
        """As `Gpu.read_more`, of each."""
        for gpu in self._each:
            gpu.read_more()

    def peaks_bytes(self) -> list[int]:
        """Each GPU's own peak; empty unless all are known."""
        known = [gpu.peak_bytes for gpu in self._each if gpu.peak_bytes is not None]
        return known if len(known) == len(self._each) else []

    def summary(self) -> dict[str, float]:
        """As `Gpu.summary`, of what all of them tell."""
        found = [gpu.summary() for gpu in self._each]
        names = [name for name in found[0] if all(name in one for one in found)]
        return {name: OVER_ALL.get(name, fmean)([one[name] for one in found]) for name in names}


OVER_ALL: dict[str, Callable[[list[float]], float]] = {
    "power_w": sum,
    "energy_j": sum,
    "thermal_slowdown": max,
    "power_cap": max,
    "other_processes": max,
}
"""How a fact of several GPUs becomes one; else by their mean."""


@contextlib.contextmanager
def watched(entries: str, pid: int) -> Iterator[Gpus | None]:
    """The GPUs behind a value of CUDA_VISIBLE_DEVICES; None without one, without a driver, or if one cannot be read."""
    if not entries:
        yield None
        return
    names = entries.split(",")
    pids: Callable[[], Collection[int]] = partial(_family, pid) if len(names) > 1 else lambda: (pid,)
    with gpus.nvml() as library:
        handles = [asked(partial(gpus.handle, library, name)) for name in names] if library else [None]
        yield None if None in handles else Gpus([Gpu(library, handle, pids) for handle in handles])


def _family(pid: int) -> set[int]:
    """The process and what it has started: a worker of several GPUs may have a process for each."""
    try:
        return {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}
    except psutil.NoSuchProcess:
        return {pid}
