"""An entry of `frameworks`: a framework and, where it is not the one installed here, which; and what either is called."""

from __future__ import annotations

import re
from typing import Protocol

from attrs import frozen

LABEL = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,39}"
"""A label, as a regular expression: part of file names, so no path."""


@frozen
class Entry:
    """One of the frameworks of a run.

    name: of the framework. python: the interpreter of its workers; empty: the one that runs mlbench. label: what its variant of
    the framework is called, unique in a run; empty: as the framework.
    """

    name: str
    python: str = ""
    label: str = ""

    @property
    def shown(self) -> str:
        """What a person reads, unique in a run."""
        return self.label or self.name


class OfFramework(Protocol):
    """A trial, row or anything else that is of one framework and one variant of it; the variant is empty where there is but
    one."""

    @property
    def framework(self) -> str: ...

    @property
    def variant(self) -> str: ...


def shown_framework(one: OfFramework) -> str:
    """What a person reads for the framework of a trial, a row, a parity result or a cell: its label where it has one."""
    return one.variant or one.framework


def is_label(text: str) -> bool:
    """Whether a text may be a label: letters, digits and . _ + - in it, 40 characters at most."""
    return re.fullmatch(LABEL, text) is not None
