"""TensorFlow's own counters of device memory."""

from __future__ import annotations

import tensorflow as tf

from mlbench_core.record import MemoryReading


def readings(device: str, number: int = 1) -> list[MemoryReading]:
    """Bytes in live tensors now and at most; nothing for a CPU, where TensorFlow counts nothing and would say 0.

    device: the first; number: of devices that share each batch, whose bytes are added up.
    """
    if device == "/CPU:0":
        return []
    found = [tf.config.experimental.get_memory_info(f"GPU:{place}") for place in range(number)]
    return [
        MemoryReading("live_tensors", sum(one["current"] for one in found)),
        MemoryReading("live_tensors_peak", sum(one["peak"] for one in found)),
    ]
