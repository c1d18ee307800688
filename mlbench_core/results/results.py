"""The `Results` of a run: its records, its configuration and the facts about the machines."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mlbench_core.config import Config
from mlbench_core.entry import shown_framework
from mlbench_core.keys import PRECISIONS, TASKS
from mlbench_core.machine.facts import machine_flags
from mlbench_core.record import Flag, Record
from mlbench_core.results.choices import Choice, choices
from mlbench_core.results.comparisons import Comparison, compare
from mlbench_core.results.flags import FlagsOf, flags_by_arm, trial_flags
from mlbench_core.results.groups import Group
from mlbench_core.results.notebook import as_html
from mlbench_core.results.parts import Part
from mlbench_core.results.row import COLUMNS, Row, plain
from mlbench_core.results.rows import IMPOSSIBLE, judged, rows_of
from mlbench_core.results.tidy import TIDY
from mlbench_core.results.tidy import tidy as tidy_lines
from mlbench_core.trial import Trial
from mlbench_core.verify.rungs import ParityResult

if TYPE_CHECKING:
    import pandas as pd

LAST = math.inf
"""The place of what the configuration does not name, such as what `all` stands for."""


@frozen(kw_only=True)
class Results:
    """What came of a run. `interrupted` says that it was stopped before its last trial.

    Rows and comparisons are computed when they are first asked for, and once.
    """

    records: tuple[Record, ...]
    config: dict[str, Any]
    machines: dict[str, dict[str, Any]]
    """Facts about the machines that the trials ran on, by the key that records name; the first is where the run began."""
    interrupted: bool = False
    parity: tuple[ParityResult, ...] = ()
    """What verification found; empty if it was skipped."""
    parts: tuple[Part, ...] = ()
    """The parts of the run, in order: several if it was resumed."""

    @property
    def forced(self) -> tuple[str, ...]:
        """What had changed between the parts of the run, where it went on all the same (`--force`), a line each."""
        return tuple(dict.fromkeys(line for part in self.parts for line in part.forced))

    @classmethod
    def load(cls, path: str | Path) -> Results:
        """The results in a benchmark_results.json, or in the folder that holds it.

        Raises ResultsError, one line, for a file that is not there, is damaged, or is of another program or version.
        """
        from mlbench_core.results.storage import load  # which needs this class

        return load(path)

    @cached_property
    def ordered(self) -> tuple[Record, ...]:
        """The records as people look for them, not in the order in which they were measured, which is drawn: training
        first, and then models, devices, precisions and frameworks as the configuration lists them, small batches first."""
        config = self.settings
        models, devices, precisions = map(_places, (config.models, config.devices, (*config.precision, *PRECISIONS)))
        frameworks = _places(one if isinstance(one, str) else one.shown for one in config.frameworks)

        def key(record: Record) -> tuple[object, ...]:
            trial = record.trial
            return (
                TASKS.index(trial.task),
                models.get(trial.model, LAST),
                trial.model,
                devices.get(trial.device, LAST),
                trial.device,
                trial.node,
                precisions.get(trial.precision, LAST),
                trial.precision,
                trial.batch_size,
                frameworks.get(shown_framework(trial), LAST),
                shown_framework(trial),
            )

        return tuple(sorted(self.records, key=key))

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """A row per cell and block, in the order of `ordered`, the frameworks of a block side by side."""
        tasks = self.config.get("tasks", TASKS)
        found = rows_of(self.ordered, self.machines, self.settings.limits, self._flags_of, self.choices, tasks)
        return tuple(judged(found, self.parity))

    @cached_property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Every pair of arms in every group by every metric, with the ratio of their costs and a verdict."""
        return tuple(compare(self.ordered, self.settings.compare, _Problems(self.rows, self._flags_of)))

    @cached_property
    def choices(self) -> tuple[Choice, ...]:
        """What each arm gains by a GPU, by several devices, by a precision and by a batch size, with intervals."""
        return choices(self.ordered, self.settings.compare.confidence)

    @cached_property
    def flags(self) -> dict[tuple[Group, str], tuple[Flag, ...]]:
        """The flags of each arm of each group: keys are (group, arm's label)."""
        return flags_by_arm(self.records, self.settings.limits, self._flags_of)

    def _flags_of(self, record: Record) -> Sequence[Flag]:
        """The flags of one of the records by itself, found once: rows, comparisons and arms all ask."""
        return self._flags_by_record[id(record)]

    @cached_property
    def _flags_by_record(self) -> dict[int, Sequence[Flag]]:
        return {id(record): trial_flags(record, self.settings.limits) for record in self.records}

    def machine_flags(self) -> list[Flag]:
        """What about the machines, before the run began, makes numbers doubtful, and what to do about it."""
        found = {flag: None for facts in self.machines.values() for flag in machine_flags(facts, self.settings.limits)}
        return list(found)

    @cached_property
    def settings(self) -> Config:
        """The run's configuration."""
        return Config.parse(self.config)

    def to_dataframe(self, tidy: bool = False) -> pd.DataFrame:
        """The rows as a pandas data frame with the columns of `results.row.COLUMNS`; parity and flags as one text each.

        tidy: instead, a line per cell and metric with its mean over the blocks and the interval of that, see `results.tidy`.
        """
        import pandas as pd

        if tidy:
            return pd.DataFrame(tidy_lines(self.rows), columns=list(TIDY))
        return pd.DataFrame([plain(row) for row in self.rows], columns=[column.name for column in COLUMNS])

    def _repr_html_(self) -> str:
        return as_html(self)

    def failures(self) -> list[Record]:
        """The trials that did not end well. What a framework does not offer is a failure only where it was asked for by name,
        not where the configuration said `all`."""
        asked_for_all = any("all" in self.config.get(key, ()) for key in ("precision", "execution"))
        fine = {"ok", "unsupported"} if asked_for_all else {"ok"}
        return [record for record in self.records if record.status not in fine]


class _Problems:
    """Why a record cannot be compared; empty if it can."""

    def __init__(self, rows: tuple[Row, ...], flags_of: FlagsOf) -> None:
        self._flags_of = flags_of
        apart = [row for row in rows if row.parity.verdict == "not comparable"]
        self._apart = {_model_of(row): row.parity.reason for row in apart}
        self._apart_trained = {(*_model_of(row), row.batch_size): row.parity.reason for row in apart}
        self._impossible = {
            (*_model_of(row), row.execution, row.batch_size): flag.text
            for row in rows
            for flag in row.flags
            if flag.name == IMPOSSIBLE
        }

    def __call__(self, record: Record) -> str:
        trial = record.trial
        if record.status != "ok":
            return f"{shown_framework(trial)} {record.status}: {record.reason}"
        rejected = [flag for flag in self._flags_of(record) if flag.level == "rejected"]
        if rejected:
            return f"{shown_framework(trial)}: {rejected[0].text}"
        speed = self._impossible.get((*_model_of(trial), record.measured.execution, trial.batch_size))
        if speed and trial.task == "train":
            return f"{shown_framework(trial)}: {speed}"
        if trial.task == "train":  # accuracies that lie apart at one batch size say nothing about another
            return self._apart_trained.get((*_model_of(trial), trial.batch_size), "")
        return self._apart.get(_model_of(trial), "")


def machine_key(facts: Mapping[str, Any]) -> str:
    """What records name a machine by: a short hash of its facts."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def _model_of(one: Row | Trial) -> tuple[str, ...]:
    """What parity is judged by."""
    return (shown_framework(one), one.model, one.dataset, one.device, one.node, one.precision)


def _places(names: Iterable[str]) -> dict[str, float]:
    return {name: place for place, name in enumerate(dict.fromkeys(names))}
