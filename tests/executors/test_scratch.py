"""Temporary folders of workers: what is somebody's stays, what is nobody's goes."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mlbench_core.executors.scratch import HELD, scratch, sweep


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_is_there_while_it_is_needed_and_not_after(place: Path) -> None:
    with scratch() as folder:
        assert Path(folder).name.startswith(HELD)
        (Path(folder) / "compiled").write_text("x")
        sweep(place)  # as another worker of this process does
        assert (Path(folder) / "compiled").exists()
    assert list(place.iterdir()) == []


HOLDING = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
from mlbench_core.executors.scratch import scratch
with scratch() as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_a_living_processs_folder_stays_and_a_killed_ones_goes(place: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        folder = Path(other.stdout.readline().strip())
        sweep(place)
        assert folder.is_dir()
        other.kill()
    assert folder.is_dir()
    with scratch() as mine:
        assert not folder.exists()
        assert Path(mine).is_dir()


def test_what_is_not_ours_stays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results that found no other place, what somebody else has made, and whatever a link leads to."""
    rescue, elsewhere, theirs = place / "mlbench-results-x", place / "elsewhere", place / f"{HELD}theirs"
    for folder in (rescue, elsewhere, theirs):
        folder.mkdir()
        (folder / "kept").write_text("x")
    (place / f"{HELD}link").symlink_to(elsewhere)
    (place / f"{HELD}file").write_text("x")
    monkeypatch.setattr(os, "getuid", lambda: os.stat(place).st_uid + 1)
    sweep(place)
    monkeypatch.undo()
    assert all((folder / "kept").exists() for folder in (rescue, elsewhere, theirs))
    sweep(place)
    assert all((folder / "kept").exists() for folder in (rescue, elsewhere))
    assert not theirs.exists()
    assert (place / f"{HELD}link").is_symlink()
    assert (place / f"{HELD}file").exists()


def test_a_folder_that_is_not_there_is_no_trouble(place: Path) -> None:
    sweep(place / "none")
