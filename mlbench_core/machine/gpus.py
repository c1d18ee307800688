"""The NVIDIA GPUs of this machine, through NVML: no framework is needed to count them.

Whatever NVML cannot do (no driver, a card that is lost, a counter that a MIG slice or a laptop does not have) costs that answer
alone: nothing here raises.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

WHOLE_UUID = re.compile(r"GPU-((?:-*[0-9a-fA-F]){32})")
PART_OF_UUID = re.compile(r"GPU-([0-9a-fA-F-]*)")
NUMBER = re.compile(r"[ \t\n\v\f\r]*([+-]?)0*([0-9]{1,9})")
"""Spellings of an entry of CUDA_VISIBLE_DEVICES. Nine digits after the zeros are more GPUs than anybody has."""


@contextmanager
def nvml() -> Iterator[Any]:
    """The initialised NVML module, or None where there is no NVIDIA driver."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # no driver, an old one, or no right to use it
        yield None
        return
    try:
        yield pynvml
    finally:
        with suppress(Exception):
            pynvml.nvmlShutdown()


def asked(question: Callable[[], T]) -> T | None:
    """NVML's answer; None if it has none: its errors are of many classes, and a text in it may not be UTF-8."""
    try:
        return question()
    except Exception:
        return None


def visible() -> list[str]:
    """What CUDA_VISIBLE_DEVICES has to say for each GPU that may be used: cuda:N is the N-th of them; none without a driver."""
    with nvml() as library:
        if library is None:
            return []
        count = asked(library.nvmlDeviceGetCount) or 0
        limit = os.environ.get("CUDA_VISIBLE_DEVICES")
        if limit is None:
            return [str(number) for number in range(count)]
        uuids = [asked(partial(_uuid, library, number)) or "" for number in range(count)]
        return chosen(limit, uuids, lambda uuid: asked(lambda: library.nvmlDeviceGetHandleByUUID(uuid)) is not None)


def _uuid(library: Any, number: int) -> str:
    uuid: str = library.nvmlDeviceGetUUID(library.nvmlDeviceGetHandleByIndex(number))
    return uuid


def chosen(limit: str, uuids: Sequence[str], known: Callable[[str], bool] = lambda _uuid: False) -> list[str]:
    """The GPUs that a value of CUDA_VISIBLE_DEVICES leaves, as CUDA reads it, each in a form that CUDA takes.

    uuids: of all GPUs, in bus order. known: whether NVML knows a MIG device of that UUID. An entry is a number, the
    beginning of a UUID as long as it is one GPU's alone, or a MIG device's UUID, of which a process gets one. The first entry
    says whether numbers or UUIDs follow. The list ends before the first entry that is not one of them (CUDA C++ Programming
    Guide, CUDA Environment Variables), and an entry that comes again leaves nothing; that, and how an entry is spelled, as the
    driver 580 with CUDA 13.0 takes it.
    """
    entries = limit.split(",")
    if entries[0].startswith("MIG-"):
        return entries[:1] if known(entries[0]) else []
    found: list[str] = []
    for entry in entries:
        one = _by_uuid(entry, uuids) if entries[0].startswith("GPU-") else _by_number(entry, len(uuids))
        if one is None:
            break
        if one in found:
            return []
        found.append(one)
    return found


def _by_uuid(entry: str, uuids: Sequence[str]) -> str | None:
    """The one GPU whose UUID begins so: hexadecimal digits of either case, wherever dashes are; after 32 of them, anything."""
    spelled = WHOLE_UUID.match(entry) or PART_OF_UUID.fullmatch(entry)
    if not spelled:
        return None
    matching = [uuid for uuid in uuids if _digits(uuid.removeprefix("GPU-")).startswith(_digits(spelled[1]))]
    return matching[0] if len(matching) == 1 else None


def _digits(text: str) -> str:
    return text.replace("-", "").lower()


def _by_number(entry: str, count: int) -> str | None:
    """What C's strtol makes of the entry's beginning, if there is such a GPU."""
    spelled = NUMBER.match(entry)
    if not spelled:
        return None
    number = int(spelled[1] + spelled[2])
    return str(number) if 0 <= number < count else None


def handle(library: Any, entry: str) -> Any:
    """The NVML device behind an entry of `visible`: a number in bus order, or a UUID. Raises NVML's errors."""
    return (
        library.nvmlDeviceGetHandleByIndex(int(entry)) if entry.isdigit() else library.nvmlDeviceGetHandleByUUID(entry)
    )


def gpu_facts() -> list[dict[str, Any]]:
    """What each visible GPU is and how it is set, in the order of cuda:N; empty without one. A fact that NVML hides is
    absent; only a name is always there."""
    entries = visible()
    with nvml() as library:
        return [_facts(library, entry) for entry in entries] if library else []


def _facts(library: Any, entry: str) -> dict[str, Any]:
    gpu = asked(lambda: handle(library, entry))
    questions: dict[str, Callable[[], Any]] = {
        "name": lambda: library.nvmlDeviceGetName(gpu),
        "uuid": lambda: library.nvmlDeviceGetUUID(gpu),
        "memory_bytes": lambda: library.nvmlDeviceGetMemoryInfo(gpu).total,
        "memory_used_bytes": lambda: library.nvmlDeviceGetMemoryInfo(gpu).used,
        "processes": lambda: len(library.nvmlDeviceGetComputeRunningProcesses(gpu)),
        "driver": lambda: library.nvmlSystemGetDriverVersion(),
        "cuda_driver": lambda: library.nvmlSystemGetCudaDriverVersion_v2() / 1000,
        "sm_clock_max_mhz": lambda: library.nvmlDeviceGetMaxClockInfo(gpu, library.NVML_CLOCK_SM),
        "memory_clock_max_mhz": lambda: library.nvmlDeviceGetMaxClockInfo(gpu, library.NVML_CLOCK_MEM),
        "power_limit_w": lambda: library.nvmlDeviceGetPowerManagementLimit(gpu) / 1e3,
        "power_limit_default_w": lambda: library.nvmlDeviceGetPowerManagementDefaultLimit(gpu) / 1e3,
        "ecc": lambda: bool(library.nvmlDeviceGetEccMode(gpu)[0]),
        "mig": lambda: bool(library.nvmlDeviceGetMigMode(gpu)[0]),
        "persistence": lambda: bool(library.nvmlDeviceGetPersistenceMode(gpu)),
    }
    answers = {name: asked(question) for name, question in questions.items()}
    return {"name": f"unknown GPU {entry}"} | {name: answer for name, answer in answers.items() if answer is not None}
