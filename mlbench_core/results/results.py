"""The `Results` of a run: its records, its configuration and the facts about the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from mlbench_core.results.cells import COLUMNS, cells, judged
from mlbench_core.trial import Record
from mlbench_core.verify.rungs import Climb

if TYPE_CHECKING:
    import pandas as pd


@frozen
class Results:
    """What came of a run. `interrupted` says that it was stopped before its last trial."""

    records: tuple[Record, ...]
    config: dict[str, Any]
    environment: dict[str, Any]
    interrupted: bool = False
    parity: tuple[Climb, ...] = ()
    """What verification found; empty if it was skipped."""

    def cells(self) -> list[dict[str, Any]]:
        """A row of metrics per cell and block; the keys and units are those of `results.cells.COLUMNS`."""
        order = {name: place for place, name in enumerate(self.config.get("models", ()))}
        return sorted(
            judged(cells(self.records), self.parity),
            key=lambda row: (
                order.get(row["model"], 0),
                row["model"],
                row["device"],
                row["precision"],
                row["batch_size"],
            ),
        )

    def to_dataframe(self) -> pd.DataFrame:
        """The cells as a pandas data frame with the columns of COLUMNS."""
        import pandas as pd

        return pd.DataFrame(self.cells(), columns=list(COLUMNS))

    def failures(self) -> list[Record]:
        """The trials that did not end well. What a framework does not offer is a failure only where it was asked for by name,
        not where the configuration said `all`."""
        asked_for_all = any("all" in self.config.get(key, ()) for key in ("precision", "execution"))
        fine = {"ok", "unsupported"} if asked_for_all else {"ok"}
        return [record for record in self.records if record.status not in fine]
