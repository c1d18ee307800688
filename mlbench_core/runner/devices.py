"""The NVIDIA GPUs of this machine, through NVML: no framework is needed to count them."""

from __future__ import annotations

import os
from collections.abc import Iterator
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
