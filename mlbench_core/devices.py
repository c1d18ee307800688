"""Names of devices: `cpu`, `cuda:0`, `mps`; several that work together, `cuda:0-1` and `cpu*2`; and what is in each."""

from __future__ import annotations

import re

CPUS = re.compile(r"cpu(?:\*([1-9][0-9]{0,2}))?")
GPUS = re.compile(r"cuda:([0-9]{1,4})(?:-([0-9]{1,4}))?")
EVERY_GPU = "cuda:*"
PATTERN = r"^(cpu(\*[1-9][0-9]{0,2})?|all|cuda|gpu|mps|cuda:(\*|[0-9]{1,4}(-[0-9]{1,4})?))$"
"""What a configuration may hold, for its JSON Schema."""


def normalized(name: str) -> str | None:
    """The name in its one spelling ("cuda" is "cuda:0", "cpu*1" is "cpu"), or None if it is no device's.

    "all" and "cuda:*" stay as they are: what they mean depends on the machine.
    """
    if name in ("all", "mps", EVERY_GPU):
        return name
    if name in ("cuda", "gpu"):
        return "cuda:0"
    if found := CPUS.fullmatch(name):
        return name if found[1] not in (None, "1") else "cpu"
    if found := GPUS.fullmatch(name):
        return gpus_between(int(found[1]), int(found[2] or found[1]))
    return None


def gpus_between(first: int, last: int) -> str | None:
    """The name of the GPUs from the first to the last; None if they are the wrong way round."""
    if first > last:
        return None
    return f"cuda:{first}" if first == last else f"cuda:{first}-{last}"


def members(device: str) -> tuple[str, ...]:
    """The devices that work together under a name: "cuda:0-1" is ("cuda:0", "cuda:1"), "cpu*2" is ("cpu", "cpu")."""
    if found := CPUS.fullmatch(device):
        return ("cpu",) * int(found[1] or 1)
    if found := GPUS.fullmatch(device):
        return tuple(f"cuda:{number}" for number in range(int(found[1]), int(found[2] or found[1]) + 1))
    return (device,)


def number_of(device: str) -> int:
    """How many devices a name stands for."""
    return len(members(device))


def kind_of(device: str) -> str:
    """ "cpu", "cuda" or "mps"."""
    return "cpu" if CPUS.fullmatch(device) else device.partition(":")[0]


def gpu_numbers(device: str) -> tuple[int, ...]:
    """The numbers of a name's GPUs as the user counts them; none of a CPU."""
    return tuple(int(one.partition(":")[2]) for one in members(device) if kind_of(one) == "cuda")


def one_of(device: str) -> str:
    """The device that a group is compared with: the first of its members."""
    return members(device)[0]
