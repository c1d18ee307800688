"""The output folder: a run in it is not written over unasked, and two runs never share it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlbench_core.errors import ConfigError
from mlbench_core.runner.folder import LOCK, Lock, check_free, clear

HOLD = (
    "import sys, time; from pathlib import Path; from mlbench_core.runner.folder import Lock\n"
    "lock = Lock(Path(sys.argv[1])); print('held', flush=True); time.sleep(600)"
)


def test_a_folder_that_holds_a_run_is_refused_with_the_ways_on(tmp_path: Path) -> None:
    check_free(tmp_path)
    check_free(tmp_path / "absent")
    (tmp_path / "notes.txt").write_text("mine\n")
    (tmp_path / "journal.jsonl").write_text('{"sum": "cut off')
    check_free(tmp_path)  # not even a header: no run
    for name in ("journal.jsonl", "benchmark_results.json"):
        file = tmp_path / name
        file.write_text("{}\n")
        with pytest.raises(ConfigError) as caught:
            check_free(tmp_path)
        assert name in str(caught.value)
        assert all(way in str(caught.value) for way in ("--resume", "--output", "--overwrite"))
        file.unlink()


def test_overwriting_removes_what_a_run_wrote_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    mine = [tmp_path / "notes.txt", tmp_path / "logs" / "notes.txt"]
    others = [tmp_path / "journal.jsonl", tmp_path / "benchmark_results.csv", tmp_path / "logs" / "numpy.log"]
    for file in (*mine, *others):
        file.write_text("x")
    clear(tmp_path)
    assert [file.exists() for file in (*mine, *others)] == [True, True, False, False, False]


def test_a_lock_names_who_holds_it_and_a_dead_process_holds_none(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match=rf"another run \(process {other.pid}\) writes to"):
            Lock(tmp_path)
        other.send_signal(signal.SIGKILL)
    lock = Lock(tmp_path)
    assert (tmp_path / LOCK).read_text() == f"{os.getpid()}\n"
    with pytest.raises(ConfigError, match=f"process {os.getpid()}"):
        Lock(tmp_path)
    lock.release()
    Lock(tmp_path).release()


def test_no_process_that_is_started_meanwhile_holds_the_lock(tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False) as child:
        time.sleep(0.2)  # the system closes what a process does not inherit a moment after it has begun
        lock.release()
        Lock(tmp_path).release()
        child.communicate(b"\n")


def test_a_folder_that_cannot_be_written_to_is_one_line(tmp_path: Path) -> None:
    (tmp_path / LOCK).mkdir()
    with pytest.raises(ConfigError, match="output: cannot write to"):
        Lock(tmp_path)
