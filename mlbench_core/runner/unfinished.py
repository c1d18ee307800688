"""The results of a run that left a journal alone: it was killed, or its machine is gone."""

from __future__ import annotations

from pathlib import Path

from mlbench_core.errors import JournalError
from mlbench_core.record import Record
from mlbench_core.results import Results
from mlbench_core.runner.journal_reader import Contents, read
from mlbench_core.runner.resume import block_of


def results_of(journal: Path) -> Results:
    """What had ended, as an interrupted run's results. Raises JournalError if the file is damaged, or holds no run."""
    found = read(journal)
    if found is None:
        raise JournalError(f"{journal}: there is no run in it")
    return Results(
        records=_records(found),
        config=found.headers[-1].config,
        machines=found.machines,
        interrupted=True,
        parity=found.parity or (),
        parts=tuple(header.part for header in found.headers),
    )


def _records(found: Contents) -> tuple[Record, ...]:
    """Block by block, of each what the last part has that ran it: arms that were measured apart are no pair."""
    last = {block_of(record.trial): part for part, record in found.records}
    latest = {record.trial: record for part, record in found.records if part == last[block_of(record.trial)]}
    return tuple(sorted(latest.values(), key=lambda record: record.trial.block))
