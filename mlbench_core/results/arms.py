"""Rows over all blocks of an arm: what a table shows when nobody asks for a single block."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import Any

from attrs import frozen

from mlbench_core.entry import shown_framework
from mlbench_core.nodes import where
from mlbench_core.results.groups import Group, group_of_row, grouped
from mlbench_core.results.row import Row, plain


@frozen(kw_only=True)
class ArmSummary:
    """One cell over its blocks. columns: by name as `row.plain`, a number is the median over the blocks that have it; a text
    or None is the first block's. blocks: how many rows there are. rows: those themselves."""

    group: Group
    blocks: int
    columns: dict[str, Any]
    rows: tuple[Row, ...]

    @property
    def shown(self) -> dict[str, Any]:
        """The columns as a table for people has them: the label stands for the framework that has one, and the kind of node,
        where there is one, is with the device."""
        return self.columns | {"framework": shown_framework(self.rows[0]), "device": where(self.rows[0])}


def arms_of(rows: Iterable[Row]) -> tuple[ArmSummary, ...]:
    """The rows by cell, in the order of the first of each."""
    cells = grouped(rows, lambda row: (group_of_row(row), shown_framework(row), row.execution))
    return tuple(
        ArmSummary(group=group, blocks=len(found), columns=_medians([plain(row) for row in found]), rows=tuple(found))
        for (group, _, _), found in cells.items()
    )


def _medians(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: _middle([block[name] for block in blocks]) for name in blocks[0] if name != "block"}


def _middle(values: list[Any]) -> Any:
    if all(value == values[0] for value in values):
        return values[0]
    numbers = [value for value in values if isinstance(value, (int, float))]
    return median(numbers) if numbers else values[0]
