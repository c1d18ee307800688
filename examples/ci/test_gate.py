"""The gate opens for the same code, and stays shut for a cell that is gone or fails."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).parent
ALMOST_ANY = "95%"
"""Two runs of the same code on whatever machine this is: what the gate does is looked at, not what the machine does."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("ci.yaml", "gate.sh"):
        shutil.copy(HERE / name, tmp_path)
    return tmp_path


def gate(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"THRESHOLD": ALMOST_ANY}
    return subprocess.run(
        ["./gate.sh", *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_same_code_goes_in(folder: Path) -> None:
    done = gate(folder, "true")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mlbench-compare" in (folder / "comparison.md").read_text()
    assert (folder / "comparison.xml").exists()


def test_a_cell_that_is_gone_keeps_it_shut(folder: Path) -> None:
    text = (folder / "ci.yaml").read_text()
    both = text.replace("[mlp]", "[mlp, bert-tiny]").replace("digits", "{mlp: digits, default: digits-sequence}")
    (folder / "ci.yaml").write_text(both.replace("blocks: 3", "blocks: 1"))
    done = gate(folder, "sed -i 's/, bert-tiny//' ci.yaml")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "bert-tiny" in (folder / "comparison.md").read_text()


def test_without_a_change_there_is_nothing_to_compare(folder: Path) -> None:
    done = gate(folder)
    assert done.returncode != 0
    assert "usage: gate.sh COMMAND" in done.stderr


def test_the_workflow_calls_the_gate() -> None:
    (job,) = yaml.safe_load((HERE / "benchmark.yml").read_text())["jobs"].values()
    commands = [step.get("run", "") for step in job["steps"]]
    assert any("./gate.sh" in command for command in commands)
