"""XLA's own counters of device memory."""

from __future__ import annotations

import jax

from mlbench_core.trial import MemoryReading

COUNTERS = {
    "bytes_in_use": "live_tensors",
    "peak_bytes_in_use": "live_tensors_peak",
    "pool_bytes": "pool",
    "peak_pool_bytes": "pool_peak",
}


def readings(device: jax.Device) -> list[MemoryReading]:
    """The allocator's counters in bytes since the process began; none on a CPU, where XLA does not count.

    live_tensors: held by arrays and running programs. pool: taken from the device, used and free alike.
    """
    found = device.memory_stats() or {}
    return [MemoryReading(name, found[counter]) for counter, name in COUNTERS.items() if found.get(counter)]
