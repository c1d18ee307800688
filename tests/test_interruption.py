"""Ctrl-C, SIGTERM and a closed terminal: once, twice, and while the report is drawn; real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

MLBENCH = str(Path(sys.executable).with_name("mlbench"))
ON_A_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
"""The first of a new session: its standard input becomes the session's terminal."""


def _start(folder: Path, *args: str) -> tuple[subprocess.Popen[bytes], int]:
    """mlbench in a session of its own on a new terminal, and the terminal's other side."""
    ours, theirs = os.openpty()
    try:
        command = [sys.executable, "-c", ON_A_TERMINAL, MLBENCH, *args]
        return subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, cwd=folder
        ), ours
    finally:
        os.close(theirs)


def _read_until(words: bytes, terminal: int) -> None:
    said = b""
    while words not in said:
        said += os.read(terminal, 4096)


def _workers(process: subprocess.Popen[Any]) -> list[psutil.Process]:
    """The workers of the run; waits until there is one."""
    while True:
        found = psutil.Process(process.pid).children(recursive=True)
        if found:
            return found
        time.sleep(0.01)


def _ended_well(process: subprocess.Popen[bytes], workers: list[psutil.Process]) -> None:
    assert process.wait(timeout=60) == 143
    assert psutil.wait_procs(workers, timeout=5)[1] == []


RUN = [
    "run",
    "--frameworks",
    "numpy",
    "--models",
    "mlp",
    "--blocks",
    "50",
    "--epochs",
    "1",
    "--no-verify",
    "--output",
    "out",
]


@pytest.mark.parametrize("repeated", [False, True], ids=["once", "again and again"])
@pytest.mark.long
def test_a_closed_terminal_ends_a_run_as_ctrl_c_does(repeated: bool, tmp_path: Path) -> None:
    process, terminal = _start(tmp_path, *RUN)
    with process:
        _read_until(b" s  numpy-mlp", terminal)
        workers = _workers(process)
        os.close(terminal)
        # A shell tells its jobs once more, and a session's manager sends both.
        while repeated and process.poll() is None:
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.01)
        _ended_well(process, workers)
    results = json.loads((tmp_path / "out" / "benchmark_results.json").read_text())
    assert results["interrupted"]
    assert [record["status"] for record in results["records"]] == ["ok"] * len(results["records"]) != []
    assert (tmp_path / "out" / "benchmark_results.csv").is_file()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_verification_leaves_no_worker_either(number: signal.Signals, tmp_path: Path) -> None:
    process, terminal = _start(tmp_path, "verify", "--frameworks", "numpy", "--models", "resnet50", "--output", "out")
    with process:
        workers = _workers(process)
        process.send_signal(number)
        _ended_well(process, workers)
    os.close(terminal)


LOCAL = """
import time
from pathlib import Path
from mlbench_core.hookspecs import ReporterDescriptor, hookimpl

@hookimpl
def register_reporters():
    return [ReporterDescriptor("slow", "slow:write", "takes its time")]
"""
SLOW = """
import time
from pathlib import Path

def write(results, folder):
    Path("drawing").touch()
    time.sleep(100)
"""
FEW = [*RUN[:5], "--epochs", "1", "--no-verify", "--output", "out"]


def _begin(folder: Path, quick: dict[str, float], blocks: int) -> subprocess.Popen[str]:
    """A run with a reporter that does not come to its end."""
    (folder / "mlbenchfile.py").write_text(LOCAL)
    (folder / "slow.py").write_text(SLOW)
    (folder / "quick.json").write_text(json.dumps({"measure": quick, "blocks": blocks, "limits": {"mfu": 1e6}}))
    return subprocess.Popen(
        [MLBENCH, *FEW, "--config", "quick.json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
    )


def _wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.01)


def _results(folder: Path) -> dict[str, Any]:
    assert (folder / "out" / "benchmark_results.csv").is_file()
    found: dict[str, Any] = json.loads((folder / "out" / "benchmark_results.json").read_text())
    return found


def test_the_second_time_nothing_slow_is_waited_for(tmp_path: Path, quick: dict[str, float]) -> None:
    with _begin(tmp_path, quick, 50) as process:
        assert process.stdout is not None
        assert any("] ok " in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        _wait_for(tmp_path / "drawing", process)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said = process.stdout.read()
    assert process.returncode == 130
    assert "of 100 trials are finished and kept" in said
    assert "Traceback" not in said
    assert "data set digits, device cpu" not in said  # no tables
    results = _results(tmp_path)
    assert results["interrupted"]
    assert results["records"]


@pytest.mark.long
def test_ctrl_c_while_the_report_is_drawn_costs_the_report_alone(tmp_path: Path, quick: dict[str, float]) -> None:
    with _begin(tmp_path, quick, 1) as process:
        _wait_for(tmp_path / "drawing", process)
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        said = process.stdout.read()
    assert process.returncode == 130
    assert "Written: out/benchmark_results.csv" in said
    results = _results(tmp_path)
    assert not results["interrupted"]
    assert len(results["records"]) == 2


@pytest.mark.parametrize("options", [[], ["--json-events"], ["--quiet"]], ids=["lines", "events", "quiet"])
@pytest.mark.long
def test_that_nobody_reads_what_a_run_prints_costs_nothing(
    options: list[str], tmp_path: Path, quick: dict[str, float]
) -> None:
    (tmp_path / "quick.json").write_text(json.dumps({"measure": quick, "limits": {"mfu": 1e6}}))
    with subprocess.Popen(
        [MLBENCH, *FEW, "--config", "quick.json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 0
    assert len(_results(tmp_path)["records"]) == 2


def test_a_signal_within_what_is_done_as_a_whole_takes_effect_behind_it() -> None:
    code = (
        "import os, signal; from mlbench_core.interruption import held, hurried, listen, status\n"
        "listen()\n"
        "try:\n"
        "    with held():\n"
        "        with held():\n"
        "            os.kill(os.getpid(), signal.SIGTERM)\n"
        "        print('whole', status(), hurried())\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        print('an echo', hurried())\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        print('twice', status(), hurried())\n"
        "    print('not here')\n"
        "except KeyboardInterrupt:\n"
        "    print('behind it')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["whole 143 False", "an echo False", "twice 143 True", "behind it"], done.stderr


def test_what_is_not_needed_is_cut_short() -> None:
    code = (
        "import os, signal; from mlbench_core.interruption import cut_short, listen, status\n"
        "listen()\n"
        "with cut_short():\n"
        "    os.kill(os.getpid(), signal.SIGINT); print('not here')\n"
        "with cut_short():\n"
        "    os.kill(os.getpid(), signal.SIGINT); print('not here')\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "print('goes on', status())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("goes on 130\n", "")


def test_under_nohup_a_run_goes_on() -> None:
    code = (
        "import os, signal; from mlbench_core.interruption import listen\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "listen(); os.kill(os.getpid(), signal.SIGHUP); print('goes on')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("goes on\n", "")
