"""How long trials took in earlier runs: kept, bounded, and never in the way."""

import json
from pathlib import Path

import pytest
from attrs import evolve
from made import made

from mlbench_core.report import durations
from mlbench_core.report.durations import earlier, remember
from mlbench_core.report.remaining import Remaining

RECORDS = made(("a", "b"), ("mlp",), (32,), blocks=2).records
TRIALS = [record.trial for record in RECORDS]


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLBENCH_CACHE", str(tmp_path))
    return tmp_path / "durations" / "durations.json"


def test_what_trials_took_is_known_in_the_next_run() -> None:
    assert earlier(TRIALS) == {}
    remember(RECORDS)
    assert earlier(TRIALS) == dict.fromkeys(TRIALS, 5.0)
    assert earlier([evolve(TRIALS[0], seed=7, block=9)]) != {}
    assert earlier([evolve(TRIALS[0], batch_size=33)]) == {}
    assert Remaining(TRIALS, earlier=earlier(TRIALS)).left() == 5.0 * len(TRIALS)


def test_the_last_five_count(file: Path) -> None:
    (one,) = [record for record in RECORDS if record.trial == TRIALS[0]]
    for seconds in (100.0, 1.0, 2.0, 3.0, 4.0, 5.0):
        remember([evolve(one, observed=evolve(one.observed, wall_s=seconds))])
    assert earlier([one.trial]) == {one.trial: 3.0}
    remember([evolve(one, status="failed")])
    assert earlier([one.trial]) == {one.trial: 3.0}


def test_the_file_is_bounded(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durations, "MOST", 3)
    for size in range(1, 6):
        remember([evolve(RECORDS[0], trial=evolve(TRIALS[0], batch_size=size))])
    remember([evolve(RECORDS[0], trial=evolve(TRIALS[0], batch_size=3))])
    remember([evolve(RECORDS[0], trial=evolve(TRIALS[0], batch_size=6))])
    known = [size for size in range(1, 7) if earlier([evolve(TRIALS[0], batch_size=size)])]
    assert known == [3, 5, 6]
    assert len(json.loads(file.read_text())["took"]) == 3


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"version": 2, "took": {}}',
        b'{"version": 1, "took": []}',
        b'{"version": 1, "took": {"KEY": 3}}',
        b'{"version": 1, "took": {"KEY": []}}',
        b'{"version": 1, "took": {"KEY": ["1"]}}',
        b'{"version": 1, "took": {"KEY": [true]}}',
        b'{"version": 1, "took": {"KEY": [NaN]}}',
        b'{"version": 1, "took": {"KEY": [-1]}}',
        b'{"version": 1, "took": {"KEY": [1, 1, 1, 1, 1, 1]}}',
        b" " * (durations.LARGEST_FILE + 1),
    ],
    ids=range(15),
)
def test_a_damaged_file_is_as_if_there_were_none(content: bytes, file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(content.replace(b"KEY", durations.key_of(TRIALS[0]).encode()))
    assert earlier(TRIALS) == {}
    remember(RECORDS)
    assert earlier(TRIALS) == dict.fromkeys(TRIALS, 5.0)


def test_a_cache_that_cannot_be_written_is_no_fault(file: Path) -> None:
    file.parent.touch()
    remember(RECORDS)
    assert earlier(TRIALS) == {}


def test_what_this_run_took_counts_more() -> None:
    one, later, other = TRIALS[0], evolve(TRIALS[0], block=1, num_epochs=0), evolve(TRIALS[0], framework="c")
    remaining = Remaining([one, later], earlier={one: 10.0, later: 20.0})
    assert remaining.left() == 30.0
    remaining.start(one)
    remaining.end(one, 4.0)
    assert remaining.left() == 4.0
    assert Remaining([one, other], earlier={one: 10.0}).left() == 20.0  # for want of anything closer
