"""PyTorch's own counters of device memory."""

from __future__ import annotations

import torch

from mlbench_core.record import MemoryReading


def readings(device: torch.device) -> list[MemoryReading]:
    """The caching allocator's counters in bytes since the process began; none on a CPU, where PyTorch does not count.

    live_tensors: held by tensors. pool: taken from the device, tensors and free blocks alike.
    """
    if device.type != "cuda":
        return []
    counters = {
        "live_tensors": torch.cuda.memory_allocated(device),
        "live_tensors_peak": torch.cuda.max_memory_allocated(device),
        "pool": torch.cuda.memory_reserved(device),
        "pool_peak": torch.cuda.max_memory_reserved(device),
    }
    return [MemoryReading(name, size) for name, size in counters.items()]
