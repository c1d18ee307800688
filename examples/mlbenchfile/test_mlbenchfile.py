"""The file works in a folder of its own: what it adds is listed, trained, verified, and its hooks have written."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MLBENCH = str(Path(sys.executable).with_name("mlbench"))
QUICK = "measure: {warmup_seconds: 0, steady_limit: 0, min_values: 3, min_seconds: 0, latency_steps: 20, queries: 20}"
CONFIG = f"frameworks: [numpy, jax]\nmodels: [narrow]\ndataset: spirals\noptimizer: careful\nnum_epochs: 3\n{QUICK}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(Path(__file__).with_name("mlbenchfile.py"), tmp_path)
    (tmp_path / "run.yaml").write_text(CONFIG)
    return tmp_path


def mlbench(folder: Path, *words: str) -> str:
    done = subprocess.run([MLBENCH, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_it_adds_is_listed(folder: Path) -> None:
    (plugin,) = (each for each in json.loads(mlbench(folder, "plugins", "--json"))["plugins"] if not each["version"])
    assert plugin["name"] == "mlbenchfile.py"
    assert plugin["adds"] == [
        "model narrow", "data set spirals", "optimiser careful",
        "hook run_started", "hook trial_started", "hook trial_finished", "hook run_finished",
    ]  # fmt: skip


def test_it_runs(folder: Path) -> None:
    mlbench(folder, "run", "--config", "run.yaml", "--output", "out")
    results = json.loads((folder / "out" / "benchmark_results.json").read_text())
    assert {row["status"] for row in results["rows"]} == {"ok"}
    assert {row["parity"]["verdict"] for row in results["rows"]} == {"verified"}
    assert all(row["final_val_accuracy"] > 0.4 for row in results["rows"]), "three classes: guessing gives 0.33"
    first, *lines = (folder / "trials.log").read_text().splitlines()
    assert first == "the run begins: 4 trials"
    assert sorted(line.split(": ")[1] for line in lines) == ["ok"] * 4 + ["started"] * 4
    assert "narrow on cpu" in (folder / "findings.txt").read_text()
