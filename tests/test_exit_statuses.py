"""docs/reference/exit-statuses.md: a real process for each status that it names."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

MLBENCH = str(Path(sys.executable).with_name("mlbench"))
ROOT = Path(__file__).parents[1]
WRONG = """
from attrs import evolve
from mlbench_core import hookspecs
from mlbench_core.reference import plugin, training
from mlbench_core.reference.plugin import *
from mlbench_core.hookspecs import hookimpl

@hookimpl
def framework_info():
    return evolve(plugin.framework_info(), name="wrong")

@hookimpl
def infer(session, batch):
    return 1.01 * training.infer(session, batch)
"""


def command(folder: Path, quick: dict[str, float], *options: str, blocks: int = 1) -> list[str]:
    config = {"models": ["mlp"], "num_epochs": 1, "measure": quick, "blocks": blocks, "limits": {"mfu": 1e6}}
    (folder / "config.json").write_text(json.dumps(config))
    return [MLBENCH, "run", "--config", "config.json", "--output", "out", *options]


def run(folder: Path, quick: dict[str, float], *options: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, quick, *options),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **more},
    )


def test_the_document_names_the_statuses_that_are_tested_here() -> None:
    text = (ROOT / "docs" / "reference" / "exit-statuses.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (\d+) \|", text, re.MULTILINE) == ["0", "1", "2", "3", "130", "143"]


def test_0_all_is_well(tmp_path: Path, quick: dict[str, float]) -> None:
    done = run(tmp_path, quick, "--frameworks", "numpy", "--no-verify", "--quiet")
    assert done.returncode == 0, done.stderr


def test_1_a_trial_did_not_end_well(tmp_path: Path, quick: dict[str, float]) -> None:
    done = run(tmp_path, quick, "--frameworks", "numpy", "--no-verify", "--precision", "bf16", "--quiet")
    assert done.returncode == 1
    assert "unsupported: numpy-mlp-cpu-bs32-bf16" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux's full device")
@pytest.mark.long
def test_1_what_is_printed_cannot_be_written(tmp_path: Path, quick: dict[str, float]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command(tmp_path, quick, "--frameworks", "numpy", "--no-verify"),
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=300,
        )
    assert done.returncode == 1
    assert done.stderr == "mlbench: error: the standard output cannot be written: No space left on device\n"
    assert (tmp_path / "out" / "benchmark_results.json").is_file()


@pytest.mark.parametrize("options", [["--models", "resnet19"], ["--no-such-option"]])
def test_2_the_command_cannot_be_run_as_it_is(options: list[str], tmp_path: Path, quick: dict[str, float]) -> None:
    done = run(tmp_path, quick, *options)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_3_frameworks_are_not_comparable(tmp_path: Path, quick: dict[str, float]) -> None:
    (tmp_path / "wrong_framework.py").write_text(WRONG)
    info = tmp_path / "mlbench_wrong-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mlbench-wrong\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mlbench.frameworks]\nwrong = wrong_framework\n")
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(tmp_path))))
    options = ["--frameworks", "numpy", "wrong"]
    done = run(tmp_path, quick, *options, "--strict", PYTHONPATH=path)
    assert done.returncode == 3, done.stdout + done.stderr
    rows = json.loads((tmp_path / "out" / "benchmark_results.json").read_text())["rows"]
    assert {row["framework"]: row["parity"]["verdict"] for row in rows} == {
        "numpy": "verified",
        "wrong": "not comparable",
    }


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)],
    ids=["Ctrl-C", "SIGTERM", "a closed terminal"],
)
@pytest.mark.parametrize("when", ["trial_started", "run_started"])
def test_130_and_143_it_was_stopped(
    number: signal.Signals, status: int, when: str, tmp_path: Path, quick: dict[str, float]
) -> None:
    arguments = command(tmp_path, quick, "--frameworks", "numpy", "--no-verify", "--json-events", blocks=50)
    with subprocess.Popen(
        arguments, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert any(f'"{when}"' in line for line in process.stdout)
        process.send_signal(number)
        last = json.loads(process.stdout.read().splitlines()[-1])
        assert process.stderr.read() == ""
    assert process.returncode == status
    assert (last["event"], last["exit_status"], last["interrupted"]) == ("run_finished", status, True)
