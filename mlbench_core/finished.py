"""What a run is to who looks at it when it has ended: the part of `results.Results` that plugins may rely on.

A protocol, because the contract stands below the results: what is typed by it is a `mlbench_core.Results`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from mlbench_core.record import Record


class FinishedRun(Protocol):
    """The results of a run, read-only.

    records: of every trial, raw values included. config: as plain data. machines: facts by the key that records name.
    interrupted: whether it was stopped before its last trial. parity: what verification found. rows: a `results.row.Row` per
    cell and block. comparisons: a `results.comparisons.Comparison` per pair of arms and metric.
    """

    @property
    def records(self) -> tuple[Record, ...]: ...

    @property
    def config(self) -> dict[str, Any]: ...

    @property
    def machines(self) -> dict[str, dict[str, Any]]: ...

    @property
    def interrupted(self) -> bool: ...

    @property
    def parity(self) -> Sequence[Any]: ...

    @property
    def rows(self) -> Sequence[Any]: ...

    @property
    def comparisons(self) -> Sequence[Any]: ...

    def to_dataframe(self, tidy: bool = False) -> Any:
        """A pandas DataFrame: a line per row; tidy: a line per cell and metric."""
