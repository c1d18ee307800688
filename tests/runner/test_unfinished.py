"""A run that left its journal alone is reported like an interrupted one."""

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from made import made
from typer.testing import CliRunner

from mlbench_core.cli import app
from mlbench_core.errors import JournalError
from mlbench_core.record import Record
from mlbench_core.runner.journal import NAME, Header, Journal
from mlbench_core.runner.journal_reader import read
from mlbench_core.runner.unfinished import results_of

RESULTS = made(frameworks=("numpy", "toy"), models=("mlp",), batch_sizes=(32,), blocks=2, queries=10, values=3)
FACTS: Any = RESULTS.machines["made"]
FIRST = Header(
    run="r", started="2026-11-01T00:00:00+00:00", mlbench="26.11.1", config_digest="d", config=RESULTS.config,
    folder="/somewhere", seed=0, machine="made", facts=FACTS,
)  # fmt: skip


def names(records: tuple[Record, ...]) -> list[str]:
    return [record.trial.key for record in records]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Both blocks of a run, but one trial of the second; and nothing else of it."""
    written = Journal(tmp_path / NAME, FIRST)
    written.add_parity(RESULTS.parity)
    for record in RESULTS.records[:-1]:
        written.add(record, FACTS)
    written.close()
    return tmp_path / NAME


def test_what_had_ended_is_reported(journal: Path) -> None:
    found = results_of(journal)
    assert (names(found.records), found.parity, found.interrupted) == (
        names(RESULTS.records[:-1]),
        RESULTS.parity,
        True,
    )
    assert found.machines == {"made": FACTS}
    output = journal.parent / "report"
    done = CliRunner().invoke(app, ["report", "--results", str(journal.parent), "--output", str(output), "--no-charts"])
    assert done.exit_code == 0, done.output
    assert "The run was interrupted" in (output / "report.html").read_text()


def test_of_a_block_that_was_begun_again_the_earlier_part_does_not_count(journal: Path) -> None:
    """As in a resumed run: arms that were measured apart are no pair."""
    before = read(journal)
    assert before is not None
    again = Journal(journal, evolve(FIRST, started="2026-11-02T00:00:00+00:00"), before.end)
    last = RESULTS.records[-1]
    again.add(last, FACTS)
    again.close()
    found = results_of(journal)
    apart = {r.trial.key for r in RESULTS.records[:-1] if r.trial.block == 1 and r.trial.task == last.trial.task}
    assert names(found.records) == [name for name in names(RESULTS.records) if name not in apart]
    assert [part.started[:10] for part in found.parts] == ["2026-11-01", "2026-11-02"]


def test_a_file_without_a_run_says_so(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"")
    with pytest.raises(JournalError, match="there is no run in it"):
        results_of(tmp_path / NAME)
