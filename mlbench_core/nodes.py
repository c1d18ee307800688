"""A kind of node, as `nodes` of a configuration asks for it: an accelerator, labels, and how many of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Protocol

from attrs import field, frozen

from mlbench_core.errors import show, unknown

WORD = r"[A-Za-z0-9][A-Za-z0-9 ._/+-]{0,79}"
"""An accelerator's name, a label and its value, as a regular expression."""


@frozen(kw_only=True, hash=False)
class NodeKind:
    """A node is of this kind if all of its accelerators are called so, and it has all of these labels.

    accelerator: words of their name, "H200" of "NVIDIA H200"; empty: any, or none. labels: as the executor knows them. count:
    how many such nodes measure; 0: all that there are.
    """

    accelerator: str = ""
    labels: Mapping[str, str] = field(factory=dict)
    count: int = 0

    @property
    def name(self) -> str:
        """What the kind is called in trials, rows and reports: "H200", "zone=a", "H200, zone=a"."""
        named = (f"{label}={value}" for label, value in sorted(self.labels.items()))
        return ", ".join(filter(None, [self.accelerator, *named]))

    def meets(self, accelerators: Iterable[str], labels: Mapping[str, str]) -> bool:
        """Whether a node with accelerators of these names, and with these labels, is of this kind."""
        found = [_words(each) for each in accelerators]
        fits = not self.accelerator or (bool(found) and all(_words(self.accelerator) <= each for each in found))
        return fits and all(labels.get(label) == value for label, value in self.labels.items())


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", name.lower()))


EXAMPLE = "[{accelerator: H200}, {labels: {zone: a}, count: 2}]"
KEYS = ("accelerator", "labels", "count")
MOST = 10_000
"""Nodes of a kind."""


def node_kinds(value: object) -> tuple[NodeKind, ...]:
    """Kinds of node from plain data: one or a list of them. Raises ValueError that says what is wrong."""
    found = [_kind(each) for each in (value if isinstance(value, (list, tuple)) else [value])]
    if not found:
        raise ValueError(f"the list is empty; give at least one, such as {EXAMPLE}")
    names = [each.name for each in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice} is asked for twice")
    return tuple(found)


def _kind(value: object) -> NodeKind:
    if isinstance(value, NodeKind):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"{show(value)} is no kind of node, as those of {EXAMPLE} are")
    for key in value:
        if key not in KEYS:
            raise ValueError(unknown("key", key, KEYS))
    given = {key: each for key, each in value.items() if each is not None}
    labels, count = given.get("labels", {}), given.get("count", 1)
    if not isinstance(labels, Mapping):
        raise ValueError(f"labels: {show(labels)} is not a mapping, such as {{zone: a}}")
    if isinstance(count, bool) or not isinstance(count, (int, float)) or not 1 <= count <= MOST or count != int(count):
        raise ValueError(
            f"count: {show(count)} is not a whole number from 1 to {MOST}; leave it out for every such node"
        )
    found = NodeKind(
        accelerator=_word(given["accelerator"]) if "accelerator" in given else "",
        labels={_word(label): _word(each) for label, each in labels.items()},
        count=int(count) if "count" in given else 0,
    )
    if not found.name:
        raise ValueError(f"{show(dict(value))} names neither an accelerator nor labels, as those of {EXAMPLE} do")
    return found


def _word(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(WORD, value):
        raise ValueError(f"{show(value)} is not letters, digits, spaces and . _ / + -, 80 at most, such as H200")
    return value


class OnNode(Protocol):
    """A trial, row, group or cell: what is of a device, of a kind of node, which is empty where the run names none, and of so
    many nodes together."""

    @property
    def device(self) -> str: ...

    @property
    def node(self) -> str: ...

    @property
    def num_nodes(self) -> int: ...


def where(one: OnNode) -> str:
    """The device and the kind of node, for people."""
    if one.num_nodes == 1:
        return f"{one.device} on {one.node}" if one.node else one.device
    return f"{one.device} on {one.num_nodes} x {one.node or 'node'}"
