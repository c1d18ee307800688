"""Tables that fit a terminal, whatever its width, with no cell cut.

In a box where there is room; else compact; else without some columns, which a line below the table names with the file that has
them; else with what neighbouring rows share in a heading above them; else each row as a paragraph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from attrs import frozen
from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from mlbench_core.plain_text import clean

BETWEEN = 2
"""Spaces between columns that are not in a box."""


def cell(value: object, style: str = "") -> Text:
    """A cell with a value whose text may be anybody's: a name out of a results file."""
    return Text(clean(str(value)), style=style)


@frozen(kw_only=True)
class Shown:
    """A column as it is shown.

    names: it tells rows apart, so it is never left out. heads: neighbouring rows may share its value, so a heading can say it.
    leaves: of the other columns those with the highest number are left out first; 0 is never left out.
    """

    label: str
    cells: Sequence[Text]
    names: bool = False
    heads: bool = False
    right: bool = False
    leaves: int = 0

    @property
    def width(self) -> int:
        """Of its widest cell."""
        return max((cell.cell_len for cell in self.cells), default=0)

    @property
    def narrow_label(self) -> str:
        """The label, wrapped between words so as not to be wider than the cells, if it can."""
        words = self.label.split()
        return "\n".join(_wrapped(words, max(self.width, *(cell_len(word) for word in words)), " "))

    @property
    def narrow_width(self) -> int:
        """Of the column with its narrow label."""
        return max(self.width, *map(cell_len, self.narrow_label.split("\n")))

    @property
    def justify(self) -> Literal["left", "right"]:
        """On which side the cells are aligned."""
        return "right" if self.right else "left"

    def worded(self, row: int) -> str:
        """The value in a sentence: a number with its label, a name alone."""
        return f"{self.label} {self.cells[row]}" if self.right else str(self.cells[row])


@frozen(kw_only=True)
class Fitted:
    """A table that rich prints in the width that there is.

    elsewhere: what holds all columns, for the line on those left out. grouped: a value of the first column that repeats is
    shown once, and a line parts its rows from the next.
    """

    title: str
    columns: Sequence[Shown]
    elsewhere: str
    grouped: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        width = options.max_width
        yield Text(clean(self.title), style="table.title", overflow="fold")
        if sum(max(column.width, cell_len(column.label)) + 3 for column in self.columns) + 1 <= width:
            yield self._filled(Table(), self.columns)
            return
        heads = [column for column in self.columns if column.heads]
        below = [column for column in self.columns if not column.heads]
        if (kept := _kept(self.columns, width)) is not None:
            yield self._filled(_compact(kept), kept)
        elif (kept := _kept(below, width)) is not None:
            yield from _headed(heads, kept)
        else:
            yield from self._paragraphs(width)
            return
        missing = [column.label for column in below if not any(column is one for one in kept)]
        if missing:
            line = f"left out at this width: {', '.join(missing)}; all columns are in {self.elsewhere}"
            yield Text(line, overflow="fold")

    def _filled(self, table: Table, columns: Sequence[Shown]) -> Table:
        if not table.columns:
            for column in columns:
                table.add_column(Text(column.label), justify=column.justify, no_wrap=True)
        previous = None
        for first, *others in zip(*(column.cells for column in columns), strict=True):
            if self.grouped and previous not in (None, first):
                table.add_section()
            table.add_row("" if self.grouped and first == previous else first, *others)
            previous = first
        return table

    def _paragraphs(self, width: int) -> Iterator[RenderableType]:
        """Each row as what names it, then its figures with their labels."""
        names = [column for column in self.columns if column.names]
        figures = [column for column in self.columns if not column.names]
        for row in range(len(names[0].cells)):
            yield Text(", ".join(column.worded(row) for column in names), style="bold", overflow="fold")
            items = [f"{column.label} {column.cells[row]}" for column in figures if column.cells[row]]
            for line in _wrapped(items, width - 2, " · "):
                yield Text(f"  {line}", overflow="fold")


def _headed(heads: Sequence[Shown], below: Sequence[Shown]) -> Iterator[RenderableType]:
    """The labels once, then the rows that share their heads below one line that says what they share."""
    table = _compact(below)
    previous = ""
    for row in range(len(below[0].cells)):
        heading = ", ".join(column.worded(row) for column in heads)
        if heading != previous:
            yield table
            yield Text(heading, style="bold", overflow="fold")
            table, previous = _compact(below, show_header=False), heading
        table.add_row(*(column.cells[row] for column in below))
    yield table


def _compact(columns: Sequence[Shown], show_header: bool = True) -> Table:
    """An empty table of the columns, as narrow as it can be."""
    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, BETWEEN - 1, 0, 0), show_header=show_header
    )
    for column in columns:
        table.add_column(
            Text(column.narrow_label),
            justify=column.justify,
            no_wrap=True,
            vertical="bottom",
            width=column.narrow_width,
        )
    return table


def _kept(columns: Sequence[Shown], width: int) -> list[Shown] | None:
    """The columns that fit a compact table of the width; None if those that must not be left out do not."""
    kept = list(columns)
    while sum(column.narrow_width + BETWEEN for column in kept) - BETWEEN > width:
        leaving = max((column for column in kept if not column.names), key=lambda column: column.leaves, default=None)
        if leaving is None or not leaving.leaves:
            return None
        kept.remove(leaving)
    return kept


def _wrapped(items: Sequence[str], width: int, between: str) -> list[str]:
    """The items in lines of at most the width; one that is longer has a line of its own."""
    lines = [items[0]] if items else []
    for item in items[1:]:
        if cell_len(lines[-1] + between + item) <= width:
            lines[-1] += between + item
        else:
            lines.append(item)
    return lines
