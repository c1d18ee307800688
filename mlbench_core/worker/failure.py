"""What a worker says of an exception that ended its job: the status, one line, and the facts.

No framework is known by name: all of them say in the type or the text of what they raise that memory was short.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Literal

from attrs import evolve

from mlbench_core.devices import kind_of
from mlbench_core.errors import DivergedError, MlbenchError, UnsupportedError
from mlbench_core.plugins import reason
from mlbench_core.record import Ending, MemoryReading, Status
from mlbench_core.serialize import to_json
from mlbench_core.worker import memory

SHORT = re.compile(
    r"out[ _]?of[ _]?memory|resource_?exhausted|allocate memory|oom when allocating|alloc_failed|bad_?alloc",
    re.IGNORECASE,
)
"""What is in the type or the text: CUDA's and cuBLAS's own codes, XLA's status, a C++ allocator's, the system's ENOMEM."""
ON_THE_HOST = re.compile(r"cpuallocator|allocate memory|bad_?alloc|host memory", re.IGNORECASE)
"""What only an allocation in the host's memory says, whatever the device of the trial."""
LONGEST = 4000
"""Characters of an exception's text that are kept."""
STATUSES: dict[type[Exception], Status] = {UnsupportedError: "unsupported", DivergedError: "diverged"}
LESS = "take a smaller batch size or model"


class OutOfMemoryError(Exception):
    """Raised from what was raised for lack of memory; `readings` has the framework's counters as they were then."""

    def __init__(self, probe: Callable[[], list[MemoryReading]]) -> None:
        super().__init__("out of memory")
        try:
            self.readings = probe()
        except Exception:  # of a session that memory was too short to make, or to load again: nothing is known
            self.readings = []


def failure_of(error: Exception, device: str, phase: str) -> dict[str, Any]:
    """The fields of the event "failed". device: the trial's; phase: that it was in."""
    readings: list[MemoryReading] = []
    if isinstance(error, OutOfMemoryError):
        readings = error.readings
        error = error.__cause__ if isinstance(error.__cause__, Exception) else error
    told = Ending(phase=phase, exception=type(error).__name__, message=str(error)[:LONGEST])
    short = short_of_memory(error)
    if short is not None:
        return _out_of_memory(short, device, told, readings)
    status = next((status for kind, status in STATUSES.items() if isinstance(error, kind)), "failed")
    line = str(error) if isinstance(error, MlbenchError) else reason(error)
    return {"status": status, "reason": line, "ending": to_json(told)}


def _out_of_memory(short: Exception, device: str, told: Ending, readings: list[MemoryReading]) -> dict[str, Any]:
    out_of: Literal["device", "host"] = "host" if isinstance(short, MemoryError) else whose(_text(short), device)
    resident = memory.resident()
    held = [*readings, *([] if resident is None else [MemoryReading("host_resident", resident)])]
    figures = ", ".join(f"{each.name} {each.bytes / 1e9:.2g} GB" for each in held)
    where = "the host" if out_of == "host" else device
    line = f"out of memory on {where} during {told.phase} ({figures}): {reason(short)}; {LESS}"
    ending = evolve(told, out_of=out_of, memory=held)
    return {"status": "out-of-memory", "reason": line, "ending": to_json(ending)}


def whose(text: str, device: str) -> Literal["device", "host"]:
    """Whose memory was short, by what was said of it and the device of the trial."""
    on_cpu = device == "" or kind_of(device) == "cpu"
    return "host" if on_cpu or ON_THE_HOST.search(text) else "device"


def short_of_memory(error: BaseException) -> Exception | None:
    """The exception in the chain that says that memory was short; None if none does."""
    for each in _chain(error):
        if isinstance(each, Exception) and (isinstance(each, MemoryError) or SHORT.search(_text(each))):
            return each
    return None


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and what it was raised from, or while handling what."""
    for _ in range(20):
        if error is None:
            return
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
