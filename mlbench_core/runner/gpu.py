"""What NVML says of one GPU while a worker uses it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from statistics import fmean
from time import monotonic
from typing import Any

from attrs import frozen

from mlbench_core.runner import devices

THERMAL = ("SwThermalSlowdown", "HwThermalSlowdown")
POWER = ("SwPowerCap", "HwPowerBrakeSlowdown")


@frozen
class Reading:
    """One sample. memory_bytes: the worker's share. busy_pct: NVML's `utilization.gpu`, the share of time in which any
    kernel ran."""

    memory_bytes: int
    busy_pct: float


class Gpu:
    """One GPU, watched for one process. Made by `watched`."""

    def __init__(self, library: Any, entry: str, pid: int) -> None:
        self._nvml, self._pid = library, pid
        self._handle = devices.handle(library, entry)
        self._idle = library.nvmlDeviceGetMemoryInfo(self._handle).used
        self._clocks: list[float] = []
        self._watts: list[float] = []
        self._thermal: list[bool] = []
        self._capped: list[bool] = []
        self._others = 0
        self._energy: list[tuple[float, float]] = []  # (seconds, joules) at the first and the latest sample
        self._gpm = _Gpm(library, self._handle)

    def read(self) -> Reading:
        """One sample, at any time of the worker's life."""
        busy = self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu
        return Reading(self._memory(), busy)

    def read_more(self) -> None:
        """Clocks, power, energy and throttling, in a phase that counts."""
        nvml, handle = self._nvml, self._handle
        with contextlib.suppress(nvml.NVMLError):
            self._clocks.append(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM))
        with contextlib.suppress(nvml.NVMLError):
            self._watts.append(nvml.nvmlDeviceGetPowerUsage(handle) / 1e3)
        with contextlib.suppress(nvml.NVMLError):
            reasons = nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)
            self._thermal.append(bool(reasons & self._bits(THERMAL)))
            self._capped.append(bool(reasons & self._bits(POWER)))
        with contextlib.suppress(nvml.NVMLError):
            now = (monotonic(), nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3)
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

    def _memory(self) -> int:
        try:
            processes = self._nvml.nvmlDeviceGetComputeRunningProcesses(self._handle)
        except self._nvml.NVMLError:
            processes = []
        mine = [process.usedGpuMemory for process in processes if process.pid == self._pid]
        if mine:
            self._others = max(self._others, len(processes) - len(mine))
            if mine[0]:
                return int(mine[0])
        else:
            # In a container or a virtual machine NVML may not know our process numbers: then one of them is ours, and so is
            # what the card holds beyond what it held when the worker started.
            self._others = max(self._others, len(processes) - 1)
        return int(self._nvml.nvmlDeviceGetMemoryInfo(self._handle).used - self._idle)


class _Gpm:
    """SM utilisation by NVML's GPU performance monitoring, on cards that have it (Hopper and later): the share of SMs busy."""

    def __init__(self, library: Any, handle: Any) -> None:
        self._nvml, self._handle = library, handle
        self._samples: list[Any] = []
        with contextlib.suppress(library.NVMLError, AttributeError):
            if library.nvmlGpmQueryDeviceSupport(handle).isSupportedDevice:
                self._samples = [library.nvmlGpmSampleAlloc(), library.nvmlGpmSampleAlloc()]
        self._taken = 0

    def sample(self) -> None:
        """Keeps the first sample and the latest."""
        if self._samples:
            with contextlib.suppress(self._nvml.NVMLError):
                self._nvml.nvmlGpmSampleGet(self._handle, self._samples[min(self._taken, 1)])
                self._taken += 1

    def utilization(self) -> float | None:
        """Percent between the first sample and the latest; None without two."""
        if self._taken < 2:
            return None
        nvml = self._nvml
        request = nvml.c_nvmlGpmMetricsGet_t()
        request.version, request.numMetrics = nvml.NVML_GPM_METRICS_GET_VERSION, 1
        request.sample1, request.sample2 = self._samples
        request.metrics[0].metricId = nvml.NVML_GPM_METRIC_SM_UTIL
        try:
            return float(nvml.nvmlGpmMetricsGet(request).metrics[0].value)
        except nvml.NVMLError:
            return None
        finally:
            for sample in self._samples:
                nvml.nvmlGpmSampleFree(sample)


@contextlib.contextmanager
def watched(entry: str | None, pid: int) -> Iterator[Gpu | None]:
    """The GPU behind an entry of CUDA_VISIBLE_DEVICES; None without one, or without a driver."""
    if entry is None:
        yield None
        return
    with devices.nvml() as library:
        yield Gpu(library, entry, pid) if library else None
