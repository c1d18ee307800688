"""What makes two machines the same for timing, and what differs between two runs without forbidding a comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen

from mlbench_core.compare.kept import Taken

Identity = Mapping[str, Any]
"""The facts of one machine that decide, flat."""
IDENTITY = (
    "cpu",
    "cpu_count",
    "memory_bytes",
    "governor",
    "turbo",
    "smt",
    "container",
    "virtual_machine",
    "cgroup_cpu_max",
)
"""Facts that decide whether speeds may be compared at all."""
GPU_IDENTITY = ("name", "driver", "mig", "power_limit_w")
WEATHER = ("cpu_mhz", "memory_available_bytes", "swap_used_bytes", "load_average", "cpu_busy_pct")
"""Facts that differ from minute to minute: they are told and decide nothing."""


@frozen(kw_only=True)
class Change:
    """A fact that differs between two sides. decides: whether it forbids to compare speeds."""

    name: str
    base: str
    new: str
    decides: bool


def identity(facts: Mapping[str, Any]) -> Identity:
    """The facts that decide, flat. Memory is rounded to a gibibyte: kernels reserve a little more or less."""
    found = {name: facts.get(name) for name in IDENTITY}
    affinity = facts.get("cpu_affinity")
    found["CPUs allowed"] = len(affinity) if affinity else None
    if found["memory_bytes"]:
        found["memory_bytes"] = f"{found['memory_bytes'] / 2**30:.0f} GiB"
    for number, gpu in enumerate(facts.get("gpus") or ()):
        found |= {f"cuda:{number} {name}": gpu.get(name) for name in GPU_IDENTITY}
    return found


def other_machine(base: Iterable[Identity], new: Sequence[Identity]) -> str:
    """Why the machines of two sides are not the same; empty if they are."""
    for one in base:
        for two in new:
            if one != two:
                name = next(name for name in dict.fromkeys([*one, *two]) if one.get(name) != two.get(name))
                return f"another machine: {name} {one.get(name)} and {two.get(name)}"
    return ""


def changes(base: Sequence[Taken], new: Sequence[Taken]) -> list[Change]:
    """All that differs between two sides: first what decides, then versions, then the weather."""
    found = [
        Change(name=name, base=one, new=two, decides=True)
        for name, one, two in _differing(_merged(base, identity), _merged(new, identity))
    ]
    for told in (_versions, _weather):
        found += [
            Change(name=name, base=one, new=two, decides=False)
            for name, one, two in _differing(_merged_runs(base, told), _merged_runs(new, told))
        ]
    return found


def _differing(one: Mapping[str, set[str]], two: Mapping[str, set[str]]) -> list[tuple[str, str, str]]:
    names = [name for name in dict.fromkeys([*one, *two]) if one.get(name) != two.get(name)]
    return [(name, *(" or ".join(sorted(side.get(name, {"n/a"}))) for side in (one, two))) for name in names]  # type: ignore[misc]


def _merged(side: Sequence[Taken], told: Callable[[Mapping[str, Any]], Identity]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for run in side:
        for facts in run.machines.values():
            for name, value in told(facts).items():
                found.setdefault(name, set()).add("n/a" if value is None else str(value))
    return found


def _merged_runs(side: Sequence[Taken], told: Callable[[Taken], Iterable[tuple[str, str]]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for run in side:
        for name, value in told(run):
            found.setdefault(name, set()).add(value)
    return found


def _versions(run: Taken) -> Iterable[tuple[str, str]]:
    yield from sorted(run.versions)
    for facts in run.machines.values():
        yield "Python", str(facts.get("python"))
        yield "system", str(facts.get("system"))
        for package, version in (facts.get("versions") or {}).items():
            yield package, str(version)


def _weather(run: Taken) -> Iterable[tuple[str, str]]:
    for facts in run.machines.values():
        for name in WEATHER:
            yield name, str(facts.get(name))
