"""Nothing of a worker stays: not what left its group, its session and its parent, not what ignores SIGTERM."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from mlbench_core.executors import processes
from mlbench_core.executors.processes import MARK, Family, new_mark
from mlbench_core.executors.shared_memory import Segments

HIDING = {
    "a child": "subprocess.Popen(SLEEP)",
    "a child in a group of its own": "subprocess.Popen(SLEEP, process_group=0)",
    "a child in a session of its own": "subprocess.Popen(SLEEP, start_new_session=True)",
    "a grandchild whose parent is gone": "subprocess.run(['sh', '-c', 'sleep 60 & '])",
    "a daemon": (
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork(): os._exit(0)\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    subprocess.run(SLEEP)\nos.wait()"
    ),
    "one that ignores SIGTERM": (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); subprocess.Popen(SLEEP, start_new_session=True)"
    ),
}
BEGINNING = "import os, signal, subprocess, sys, time\nSLEEP = ['sleep', '60']\n"


@pytest.fixture
def mark() -> Iterator[str]:
    """A worker's, after which nothing that has it may live."""
    value = new_mark()
    yield value
    left = alive(value)
    for process in left:
        process.kill()
    assert left == []


def alive(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            pass
    return found


def start(code: str, mark: str) -> subprocess.Popen[bytes]:
    """A process that has done what the code says once this returns."""
    process = subprocess.Popen(
        [sys.executable, "-c", BEGINNING + code],
        env={**os.environ, MARK: mark},
        start_new_session=True,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    return process


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    assert true()


@pytest.mark.parametrize("code", HIDING.values(), ids=HIDING)
@pytest.mark.parametrize("after", ["time.sleep(60)", "os._exit(0)"], ids=["it lives", "it has ended"])
def test_whatever_a_worker_starts_is_ended(code: str, after: str, mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE_S", 0.3)
    process = start(f"{code}\nprint('started', flush=True)\n{after}", mark)
    until(lambda: any("sleep" in p.name() for p in alive(mark)))
    if after == "os._exit(0)":
        process.wait()
    family = Family(process, mark, Segments())
    assert {p.pid for p in alive(mark)} <= family.members()
    family.end()
    assert alive(mark) == []
    assert family.members() == set()
    assert process.returncode is not None
    assert family.killed == (after != "os._exit(0)")


def test_a_worker_that_leaves_by_itself_is_left_to(mark: str) -> None:
    process = start("print(flush=True); time.sleep(0.3); sys.exit(5)", mark)
    family = Family(process, mark, Segments())
    family.end(20.0)
    assert (process.returncode, family.killed) == (5, False)


def test_sigterm_comes_first(mark: str, tmp_path: Path) -> None:
    """So that what a worker has started can take away what it has made, as multiprocessing's tracker does."""
    place = tmp_path / "made"
    place.touch()
    code = f"signal.signal(signal.SIGTERM, lambda *_: (os.unlink({str(place)!r}), os._exit(9)))"
    process = start(f"{code}\nprint(flush=True)\ntime.sleep(60)", mark)
    Family(process, mark, Segments()).end()
    assert not place.exists()
    assert process.returncode == 9


def test_an_interrupt_while_it_is_being_ended_leaves_nothing(mark: str) -> None:
    def interrupted(_seconds: float) -> bool:
        raise KeyboardInterrupt

    process = start("signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)", mark)
    with pytest.raises(KeyboardInterrupt):
        Family(process, mark, Segments()).end(5.0, interrupted)
    assert process.returncode == -signal.SIGKILL


def test_nobody_else_is_touched(mark: str) -> None:
    with subprocess.Popen(["sleep", "60"], env={**os.environ, MARK: new_mark()}) as other:
        process = start("subprocess.Popen(SLEEP); print(flush=True); time.sleep(60)", mark)
        Family(process, mark, Segments()).end()
        assert other.poll() is None
        other.kill()
