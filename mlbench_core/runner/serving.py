"""Which places are of which kind of node, as a configuration names them in `nodes`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from attrs import evolve

from mlbench_core.errors import ConfigError
from mlbench_core.executor import Place
from mlbench_core.nodes import NodeKind
from mlbench_core.results.groups import grouped

Serving = Mapping[Place, Collection[str]]
"""By place, the names of the kinds whose trials it takes; "" is that of all trials where no kind is named."""


def serving(kinds: Sequence[NodeKind] | None, places: Sequence[Place]) -> Serving:
    """What each place takes: of each kind as many nodes as its count says, the first by name."""
    if not kinds:
        return dict.fromkeys(places, ("",))
    found: dict[Place, list[str]] = {place: [] for place in places}
    for kind in kinds:
        fitting = [place for place in places if kind.meets(_accelerators(place), place.labels)]
        nodes = sorted({_node(place) for place in fitting})
        wanted = nodes[: kind.count or None]
        for place in fitting:
            if _node(place) in wanted:
                found[place].append(kind.name)
    return found


def teams(kinds: Sequence[NodeKind] | None, places: Sequence[Place], size: int) -> tuple[Place, ...]:
    """The places, each with those on other nodes that share batches with it: as many teams of that size as can be made of
    machines that are alike. What is left over takes nothing."""
    if size == 1:
        return tuple(places)
    found, taking = [], serving(kinds, places)
    wanted = [place for place, names in taking.items() if names]
    for alike in grouped(wanted, lambda place: (frozenset(taking[place]), place.kind)).values():
        by_node = {_node(place): place for place in reversed(alike)}
        one_each = sorted(by_node.values(), key=lambda place: place.name)
        found += [
            evolve(one_each[first], others=tuple(one_each[first + 1 : first + size]))
            for first in range(0, len(one_each) - size + 1, size)
        ]
    return tuple(found)


def check_nodes(kinds: Sequence[NodeKind] | None, places: Sequence[Place], size: int = 1) -> None:
    """Raises ConfigError that names the first kind of which there are fewer nodes than it asks for, or than share a batch."""
    found = serving(kinds, places)
    there_are = f"; there are: {'; '.join(dict.fromkeys(place.kind or UNKNOWN for place in places))}"
    for kind in kinds or ():
        there = len({_node(place) for place, names in found.items() if kind.name in names})
        wanted = kind.count or 1
        if there < wanted:
            number = f"{there} of {wanted} nodes are" if there else "no node is"
            raise ConfigError(f"nodes: {number} {kind.name}{there_are}")
    if size > 1:
        served = serving(kinds, teams(kinds, places, size))
        for name in [kind.name for kind in kinds or ()] or [""]:
            if not any(name in names for names in served.values()):
                which = f" of {name}" if name else ""
                raise ConfigError(f"num_nodes: there are no {size} nodes{which} that are alike{there_are}")


UNKNOWN = "nodes of which nothing is known"


def gpus_on(kinds: Sequence[NodeKind] | None, places: Sequence[Place]) -> dict[str, int]:
    """By kind, the GPUs that each of its nodes has."""
    found = serving(kinds, places)
    by_kind: dict[str, list[int]] = {}
    for place, names in found.items():
        for name in names:
            by_kind.setdefault(name, []).append(len(_accelerators(place)))
    return {name: min(numbers) for name, numbers in by_kind.items()}


def _node(place: Place) -> str:
    return place.node or place.name


def _accelerators(place: Place) -> list[str]:
    return [str(gpu.get("name")) for gpu in place.facts.get("gpus") or ()]
