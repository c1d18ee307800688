"""The NVIDIA GPUs of this machine, through NVML: no framework is needed to count them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def nvml() -> Iterator[Any]:
    """The initialised NVML module, or None where there is no NVIDIA driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield pynvml
    finally:
        pynvml.nvmlShutdown()


def visible() -> list[str]:
    """What CUDA_VISIBLE_DEVICES has to say for each GPU that may be used: cuda:N is the N-th of them."""
    limit = os.environ.get("CUDA_VISIBLE_DEVICES")
    if limit is not None:
        return [entry.strip() for entry in limit.split(",") if entry.strip() and entry.strip() != "-1"]
    with nvml() as library:
        return [str(number) for number in range(library.nvmlDeviceGetCount())] if library else []


def handle(library: Any, entry: str) -> Any:
    """The NVML device behind an entry of `visible`: a number in bus order, or a UUID."""
    return (
        library.nvmlDeviceGetHandleByIndex(int(entry)) if entry.isdigit() else library.nvmlDeviceGetHandleByUUID(entry)
    )


def facts() -> list[dict[str, Any]]:
    """What each visible GPU is and how it is set, in the order of cuda:N; empty without one. A fact that NVML hides is
    absent."""
    with nvml() as library:
        return [_facts(library, handle(library, entry)) for entry in visible()] if library else []


def _facts(library: Any, gpu: Any) -> dict[str, Any]:
    asked: dict[str, Callable[[], Any]] = {
        "name": lambda: library.nvmlDeviceGetName(gpu),
        "uuid": lambda: library.nvmlDeviceGetUUID(gpu),
        "memory_bytes": lambda: library.nvmlDeviceGetMemoryInfo(gpu).total,
        "memory_used_bytes": lambda: library.nvmlDeviceGetMemoryInfo(gpu).used,
        "processes": lambda: len(library.nvmlDeviceGetComputeRunningProcesses(gpu)),
        "driver": library.nvmlSystemGetDriverVersion,
        "cuda_driver": lambda: library.nvmlSystemGetCudaDriverVersion_v2() / 1000,
        "sm_clock_max_mhz": lambda: library.nvmlDeviceGetMaxClockInfo(gpu, library.NVML_CLOCK_SM),
        "memory_clock_max_mhz": lambda: library.nvmlDeviceGetMaxClockInfo(gpu, library.NVML_CLOCK_MEM),
        "power_limit_w": lambda: library.nvmlDeviceGetPowerManagementLimit(gpu) / 1e3,
        "power_limit_default_w": lambda: library.nvmlDeviceGetPowerManagementDefaultLimit(gpu) / 1e3,
        "ecc": lambda: bool(library.nvmlDeviceGetEccMode(gpu)[0]),
        "mig": lambda: bool(library.nvmlDeviceGetMigMode(gpu)[0]),
        "persistence": lambda: bool(library.nvmlDeviceGetPersistenceMode(gpu)),
    }
    found = {}
    for name, ask in asked.items():
        try:
            found[name] = ask()
        except library.NVMLError:
            continue
    return found
