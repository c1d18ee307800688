"""XLA's own counters of device memory."""

from __future__ import annotations

import jax

from mlbench_core.trial import MemoryReading

COUNTERS = {
    "live_tensors": "bytes_in_use",
    "live_tensors_peak": "peak_bytes_in_use",
    "pool": "pool_bytes",
    "pool_peak": "peak_pool_bytes",
}
"""The core's name to JAX's."""


def readings(device: jax.Device) -> list[MemoryReading]:
    """The allocator's counters in bytes since the process began; none on a CPU, where JAX keeps none."""
    stats = device.memory_stats() or {}
    return [MemoryReading(name, stats[theirs]) for name, theirs in COUNTERS.items() if theirs in stats]
