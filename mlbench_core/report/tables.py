"""Tables of the report as values: cells are text, with what they are sorted by and how they are marked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import frozen

from mlbench_core.plain_text import clean


@frozen(kw_only=True)
class Cell:
    """text: what is shown. sort: the number it is sorted by, for numbers. kind: how it is marked, one of "good", "bad", "warn",
    "muted", "absent" or ""."""

    text: str
    sort: float | None = None
    kind: str = ""

    @property
    def sorted_by(self) -> str:
        """The number it is sorted by as text; six digits tell rows apart, and thousands of rows have as many of them."""
        return f"{self.sort:.6g}"


ABSENT = Cell(text="n/a", kind="absent")
"""In a column of numbers, where there is none."""


@frozen(kw_only=True)
class Heading:
    """The head of a column. hint: what it means. number: whether it is set and sorted as a number."""

    label: str
    hint: str = ""
    number: bool = False


@frozen(kw_only=True)
class Table:
    """name: unique in the page. caption: one sentence. rows: as long as `headings` each. filtered: whether it has a field to
    filter by; sorted: whether its heads sort it."""

    name: str
    caption: str
    headings: tuple[Heading, ...]
    rows: tuple[tuple[Cell, ...], ...]
    filtered: bool = False
    sortable: bool = False


def text(value: object, kind: str = "") -> Cell:
    """A cell with a text as it is; empty for None."""
    return Cell(text="" if value is None else clean(str(value)), kind=kind)


def number(value: float | None, shown: str, kind: str = "") -> Cell:
    """A cell with a number; "n/a" for None."""
    if value is None:
        return ABSENT
    return Cell(text=shown, sort=float(value), kind=kind)


def words(*labels: str) -> tuple[Heading, ...]:
    """Headings of columns with text."""
    return tuple(Heading(label=label) for label in labels)


def numbers(*labels: str) -> tuple[Heading, ...]:
    """Headings of columns with numbers."""
    return tuple(Heading(label=label, number=True) for label in labels)


def rows_of(cells: Iterable[Sequence[Cell]]) -> tuple[tuple[Cell, ...], ...]:
    """Rows as a Table takes them."""
    return tuple(tuple(row) for row in cells)
