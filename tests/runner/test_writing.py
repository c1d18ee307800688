"""The results of a run are written whatever happens, elsewhere if need be."""

from pathlib import Path

import pytest
from made import made

from mlbench_core import Results, interruption
from mlbench_core.registry import load_registry
from mlbench_core.runner.writing import write_all

LOCAL = """
from mlbench_core.hookspecs import ReporterDescriptor, hookimpl

@hookimpl
def register_reporters():
    return [ReporterDescriptor("mine", "my_reporter:write", "mine")]
"""
FOUND = made(("numpy",), ("mlp",), (32,), blocks=1)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "mlbenchfile.py").write_text(LOCAL)
    (tmp_path / "my_reporter.py").write_text("def write(results, folder):\n    (folder / 'mine').touch()\n")
    (tmp_path / "out").mkdir()
    return tmp_path


def write(here: Path, folder: Path) -> Path | None:
    registry = load_registry(here)
    registry.enter()
    return write_all(FOUND, folder, registry)


def test_every_reporter_writes(here: Path) -> None:
    assert write(here, here / "out") is None
    assert {"benchmark_results.json", "benchmark_results.csv", "mine"} <= {
        path.name for path in (here / "out").iterdir()
    }


def test_once_it_was_asked_for_twice_the_results_alone_are_written(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption._state, "count", 2)
    assert write(here, here / "out") is None
    assert {path.name for path in (here / "out").iterdir()} == {"benchmark_results.json", "benchmark_results.csv"}


def test_what_cannot_be_written_to_the_folder_is_written_to_another(here: Path) -> None:
    (here / "file").touch()
    with pytest.warns(UserWarning, match="its reporter '(json|csv)' failed: NotADirectoryError"):
        rescue = write(here, here / "file" / "out")
    assert rescue is not None
    assert Results.load(rescue).records == FOUND.records
    assert (rescue / "benchmark_results.csv").is_file()


def test_a_vanished_folder_is_made_again(here: Path) -> None:
    (here / "out").rmdir()
    assert write(here, here / "out") is None
    assert Results.load(here / "out").records == FOUND.records
