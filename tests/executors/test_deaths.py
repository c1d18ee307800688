"""Why a worker died: what the kernel counts, what there is to have, and that nobody guesses."""

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import psutil
import pytest

from mlbench_core.executors.deaths import lacked_memory, memory_limit, out_of_memory_kills, signal_name

EVENTS = "low 0\nhigh 0\nmax 12\noom 3\noom_kill {}\noom_group_kill 0\n"
CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "vmstat").write_text("nr_free_pages 7\noom_kill 40\nswap_ra 1\n")
    return tmp_path / "proc"


def group(proc: Path, line: str) -> Path:
    (proc / "self" / "cgroup").write_text(f"12:cpu,cpuacct:/other\n{line}\n")
    return proc.parent / "cgroup"


def test_the_second_version_of_control_groups(proc: Path) -> None:
    groups = group(proc, "0::/slice/run")
    place = groups / "slice" / "run"
    place.mkdir(parents=True)
    (groups / "slice" / "memory.max").write_text("5000\n")
    (place / "memory.max").write_text("max\n")
    (place / "memory.events").write_text(EVENTS.format(2))
    (groups / "slice" / "memory.events").write_text(EVENTS.format(9))
    assert out_of_memory_kills(proc, groups) == 2
    assert memory_limit(proc, groups) == 5000


def test_the_first_version_seen_from_a_container(proc: Path) -> None:
    """The path is the machine's, and what is mounted begins at the container's own group."""
    groups = group(proc, "4:memory:/docker/1f2e")
    (groups / "memory").mkdir(parents=True)
    (groups / "memory" / "memory.oom_control").write_text(CONTROL.format(1))
    (groups / "memory" / "memory.limit_in_bytes").write_text("6000\n")
    assert out_of_memory_kills(proc, groups) == 1
    assert memory_limit(proc, groups) == 6000


def test_without_groups_the_machine_counts(proc: Path) -> None:
    groups = group(proc, "0::/")
    assert out_of_memory_kills(proc, groups) == 40
    assert memory_limit(proc, groups) == psutil.virtual_memory().total
    (proc / "vmstat").unlink()
    (proc / "self" / "cgroup").unlink()
    assert out_of_memory_kills(proc, groups) is None


KILLED, ABORTED = -signal.SIGKILL, -signal.SIGABRT
BAD_ALLOC = ["terminate called after throwing an instance of 'std::bad_alloc'", "what():  std::bad_alloc"]


@pytest.mark.parametrize(
    ("code", "kills", "resident", "log", "lacked"),
    [
        (KILLED, (2, 3), 10, [], "host"),
        (KILLED, (2, 2), 10, [], None),
        (KILLED, (None, None), 10, [], None),
        (KILLED, (2, 2), psutil.virtual_memory().total, [], "host"),
        (KILLED, (2, 2), None, ["out of memory"], None),
        (ABORTED, (2, 2), 10, BAD_ALLOC, "host"),
        (ABORTED, (2, 3), 10, ["Assertion failed"], None),
        (-signal.SIGSEGV, (2, 3), 10, BAD_ALLOC, None),
        (70, (2, 2), 10, ["torch.OutOfMemoryError: CUDA out of memory.", "rank 1 of 2 ended with status 1"], "device"),
        (70, (2, 2), 10, ["MemoryError", "rank 1 of 2 ended with status 1"], "host"),
        (7, (2, 3), 10, ["ImportError: no module"], None),
        (0, (2, 3), 10, ["out of memory"], None),
    ],
)
def test_who_lacked_memory(
    code: int, kills: tuple[int | None, int | None], resident: int | None, log: list[str], lacked: str | None
) -> None:
    assert lacked_memory(code, kills, resident, log, "cuda:0-1") == lacked
    if lacked == "device":
        assert lacked_memory(code, kills, resident, log, "cpu*2") == "host"


def test_names_of_signals() -> None:
    assert [signal_name(code) for code in (0, 3, -11, -37)] == ["", "", "SIGSEGV", "signal 37"]


PARENT = """
import sys
from pathlib import Path
Path(sys.argv[1], "cgroup.procs").write_text(str(__import__("os").getpid()))
from mlbench_core.executors import local
from mlbench_core.executor import Request, Setting
from mlbench_core.runner.turns import run_alone
setting = Setting(python=sys.executable, time_limit_s=60, log=Path(sys.argv[2]))
outcome = run_alone(local.run(Request(kind="inspect", job={}, device="cpu", threads=1), setting))
print(outcome.status, outcome.ending.out_of, [m.name for m in outcome.ending.memory], outcome.reason, sep="|")
"""
GREEDY = """
import sys
if "mlbench_core.worker" in "".join(sys.orig_argv):
    kept = []
    while True:
        kept.append(b"x" * 2**22)
"""


def test_a_worker_that_the_kernel_kills_ran_out_of_memory(tmp_path: Path) -> None:
    """In a control group with 400 MB for parent and worker, where one can be made."""
    top = Path("/sys/fs/cgroup")
    version_1 = (top / "memory" / "memory.limit_in_bytes").exists()
    place = (top / "memory" if version_1 else top) / f"mlbench-test-{uuid.uuid4().hex[:8]}"
    try:
        place.mkdir()
        (place / ("memory.limit_in_bytes" if version_1 else "memory.max")).write_text(str(400 * 2**20))
    except OSError as error:
        if place.is_dir():
            place.rmdir()
        pytest.skip(f"no control group of memory can be made here: {error}")
    try:
        (tmp_path / "sitecustomize.py").write_text(GREEDY)
        path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            [sys.executable, "-c", PARENT, str(place), str(tmp_path / "log")],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        status, out_of, names, reason = done.stdout.strip().split("|")
        assert (status, out_of) == ("out-of-memory", "host"), reason
        assert "host_limit" in names
        assert "host_limit 0.42 GB): the worker was killed by SIGKILL; take a smaller batch size or model" in reason
    finally:
        place.rmdir()
