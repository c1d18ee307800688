"""The short form of `nox -s chaos`: a run that is killed at random moments and resumed loses nothing."""

from pathlib import Path

from benchmarks.chaos import chaos


def test_a_run_that_is_killed_and_resumed_loses_nothing(tmp_path: Path) -> None:
    assert sum(chaos(kills=3, blocks=2, seed=0, folder=tmp_path)) == 3
