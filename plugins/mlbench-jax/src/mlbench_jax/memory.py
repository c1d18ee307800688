"""XLA's own counters of device memory."""

from __future__ import annotations

from collections.abc import Sequence

import jax

from mlbench_core.record import MemoryReading

COUNTERS = {
    "bytes_in_use": "live_tensors",
    "peak_bytes_in_use": "live_tensors_peak",
    "pool_bytes": "pool",
    "peak_pool_bytes": "pool_peak",
}


def readings(devices: Sequence[jax.Device]) -> list[MemoryReading]:
    """The allocator's counters in bytes since the process began, over all the devices; none on a CPU, where XLA does not count.

    live_tensors: held by arrays and running programs. pool: taken from the device, used and free alike.
    """
    each = [device.memory_stats() or {} for device in devices]
    found = {name: [one[counter] for one in each if one.get(counter)] for counter, name in COUNTERS.items()}
    return [MemoryReading(name, sum(known)) for name, known in found.items() if len(known) == len(each)]
