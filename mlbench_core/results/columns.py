"""What a column of results is: its label, unit, format and meaning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen

Show = Callable[[Any], str]


@frozen(kw_only=True)
class Column:
    """One column.

    name: in the CSV, the data frame and the JSON file. label: the heading of a table. unit: "" for a plain number or a text.
    show: how a table prints a value that is known. meaning: a few words for the table of columns.
    """

    name: str = ""
    label: str
    unit: str = ""
    show: Show = str
    meaning: str

    @property
    def measured(self) -> bool:
        """Whether it holds numbers that were measured, not what was asked for, nor words."""
        return self.show not in (str, listed)


def count(value: float) -> str:
    """Thousands apart, and one decimal below a hundred."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"


def whole(value: float) -> str:
    """Thousands apart, no decimals."""
    return f"{value:,.0f}"


def decimal(value: float) -> str:
    """Two decimals; below 1 three significant digits."""
    return f"{value:,.2f}" if not value or abs(value) >= 1 else f"{value:.3g}"


def share(value: float) -> str:
    """A share in [0, 1] as a percentage with one decimal."""
    return f"{100 * value:.1f}"


def listed(values: Any) -> str:
    """Several texts as one."""
    return "; ".join(map(str, values))
