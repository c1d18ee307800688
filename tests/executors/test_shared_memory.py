"""Segments of shared memory are taken away if they are a worker's, and only then."""

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlbench_core.executors.shared_memory import Segments

MAP = """
import mmap, os, sys
file = open(sys.argv[1], "w+b")
file.truncate(4096)
kept = mmap.mmap(file.fileno(), 4096)
file.close()
print(os.getpid(), flush=True)
sys.stdin.read()
"""


@contextmanager
def mapping(path: Path) -> Iterator[int]:
    """The number of a process that has a new file mapped, but not open."""
    with subprocess.Popen(
        [sys.executable, "-c", MAP, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "older-4711").touch()
    return tmp_path


def test_what_a_worker_has_mapped_or_open_goes_with_it(folder: Path) -> None:
    segments = Segments(folder)
    with mapping(folder / "mapped") as pid:
        segments.look([pid])
        assert segments.remove([]) == []  # it lives
    assert segments.remove([]) == ["mapped"]
    with (folder / "open").open("w"):
        segments.look([os.getpid()])
    assert segments.remove([]) == ["open"]
    assert os.listdir(folder) == ["older-4711"]


def test_a_name_that_holds_the_number_of_a_worker_is_its(folder: Path) -> None:
    segments = Segments(folder)
    for name in ("torch_4711_99_0", "torch_99_47110_0", "sem.loky-4711-x", "psm_1a4711b"):
        (folder / name).touch()
    assert segments.remove([4711]) == ["sem.loky-4711-x", "torch_4711_99_0"]
    assert sorted(os.listdir(folder)) == ["older-4711", "psm_1a4711b", "torch_99_47110_0"]


def test_what_others_use_or_had_before_stays(folder: Path) -> None:
    segments = Segments(folder)
    (folder / "of-others").write_bytes(b"x" * 4096)
    (folder / "used-4711").write_bytes(b"x" * 4096)
    (folder / "folder-4711").mkdir()
    (folder / "link-4711").symlink_to(folder / "of-others")
    with (folder / "used-4711").open("rb") as file, mmap.mmap(file.fileno(), 4096, prot=mmap.PROT_READ):
        assert segments.remove([4711]) == []
    assert len(os.listdir(folder)) == 5


def test_a_system_without_shared_memory_has_none(tmp_path: Path) -> None:
    segments = Segments(tmp_path / "none")
    segments.look([os.getpid(), 2**22 + 1])
    assert segments.remove([os.getpid()]) == []
