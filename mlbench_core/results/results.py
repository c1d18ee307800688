"""The `Results` of a run: its records, its configuration and the facts about the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from mlbench_core import environment
from mlbench_core.config import Config
from mlbench_core.results.cells import COLUMNS, cells, judged
from mlbench_core.results.comparisons import Comparison, compare
from mlbench_core.results.flags import trial_flags
from mlbench_core.trial import Flag, Record
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
            judged(cells(self.records, self.environment, self._config().flags), self.parity),
            key=lambda row: (
                order.get(row["model"], 0),
                row["model"],
                row["device"],
                row["precision"],
                row["batch_size"],
            ),
        )

    def comparisons(self) -> list[Comparison]:
        """Every pair of frameworks and executions in every cell, with the ratio of their speeds and a verdict."""
        config = self._config()
        rows = self.cells()
        key = ("framework", "model", "dataset", "device", "precision")
        apart = {
            tuple(row[n] for n in key): row["parity"] for row in rows if row["parity"].startswith("not comparable")
        }
        impossible = {
            (*(row[n] for n in key), row["execution"], row["batch_size"]): flag.text
            for row in rows
            for flag in row["flags"]
            if flag.name == "impossible speed"
        }

        def problem(record: Record) -> str:
            if record.status != "ok":
                return f"{record.trial.framework} {record.status}: {record.reason}"
            rejected = [flag for flag in trial_flags(record, config.flags) if flag.level == "rejected"]
            if rejected:
                return f"{record.trial.framework}: {rejected[0].text}"
            cell = tuple(getattr(record.trial, name) for name in key)
            speed = impossible.get((*cell, record.measured.execution, record.trial.batch_size))
            if speed and record.trial.task == "train":
                return f"{record.trial.framework}: {speed}"
            why: str = apart.get(cell, "")
            return why.removeprefix("not comparable: ")

        return compare(self.records, config.compare, problem)

    def machine_flags(self) -> list[Flag]:
        """What about the machine, before the run began, makes its numbers doubtful, and what to do about it."""
        return environment.flags(self.environment, self._config().flags)

    def _config(self) -> Config:
        return Config.parse(self.config)

    def to_dataframe(self) -> pd.DataFrame:
        """The cells as a pandas data frame with the columns of COLUMNS; flags as one text."""
        import pandas as pd

        return pd.DataFrame([flat(row) for row in self.cells()], columns=list(COLUMNS))

    def failures(self) -> list[Record]:
        """The trials that did not end well. What a framework does not offer is a failure only where it was asked for by name,
        not where the configuration said `all`."""
        asked_for_all = any("all" in self.config.get(key, ()) for key in ("precision", "execution"))
        fine = {"ok", "unsupported"} if asked_for_all else {"ok"}
        return [record for record in self.records if record.status not in fine]


def flat(row: dict[str, Any]) -> dict[str, Any]:
    """A row for a table: its flags as one text."""
    return row | {"flags": "; ".join(map(str, row["flags"]))}
