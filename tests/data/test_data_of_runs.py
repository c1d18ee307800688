"""Data sets of a person's own in real runs: whose they are, and what becomes of a run when one goes wrong."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlbench_core.models.mlp import mlp
from mlbench_core.runner import Suite

MLBENCH = str(Path(sys.executable).with_name("mlbench"))

BLOBS = """
import beside
import numpy as np
from mlbench_core.data import Dataset
from mlbench_core.hookspecs import DatasetDescriptor, hookimpl

@hookimpl
def register_datasets():
    return [DatasetDescriptor(name="blobs", load="mlbenchfile:blobs", kind="vector", description="")]

def blobs(request):
    y = np.arange(64) % beside.CLASSES
    x = y[:, None] + np.zeros((1, 4))
    return Dataset(name="", kind="vector", x_train=x, y_train=y, x_val=x, y_val=y, num_classes=beside.CLASSES)
"""


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLBENCH_CACHE", str(tmp_path / "cache"))


def run(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [MLBENCH, "run", "--frameworks", "numpy", "--epochs", "1", "--batch-sizes", "8", "--no-verify"]
    command += ["--overwrite", *args]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300)


def records(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "results" / "benchmark_results.json").read_text())["records"]
    return found


def with_blobs(folder: Path, classes: int) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "beside.py").write_text(f"CLASSES = {classes}")
    (folder / "mlbenchfile.py").write_text(BLOBS)
    return folder


@pytest.mark.long
def test_a_folders_own_data_set_is_used_as_it_is_now(tmp_path: Path) -> None:
    """Two folders with a data set of one name, then an edit in one; what they import lies beside their mlbenchfile.py."""
    found = []
    for name, classes in (("one", 3), ("two", 7), ("one", 5)):
        folder = with_blobs(tmp_path / name, classes)
        done = run(folder, "--models", "mlp", "--dataset", "blobs")
        assert done.returncode == 0, done.stdout + done.stderr
        found.append({record["measured"]["num_parameters"] for record in records(folder)})
    assert found == [{mlp((4,), classes).num_parameters} for classes in (3, 7, 5)]


@pytest.mark.parametrize(
    ("loader", "said"),
    [
        (
            "beside.CLASSES + 1",
            "y_train[3] is 3, and with 3 classes labels lie in 0 to 2: count labels from 0, or make num",
        ),
        ("beside.CLASSES; y = y - 1", "y_train[0] is -1, and with 3 classes labels lie in 0 to 2: count labels from 0"),
        ("beside.CLASSES; x[5, 2] = np.inf", "x_train[5, 2] is inf, not finite in float32"),
    ],
)
def test_what_cannot_be_trained_on_is_one_line_before_any_worker_starts(tmp_path: Path, loader: str, said: str) -> None:
    folder = with_blobs(tmp_path / "one", 3)
    file = folder / "mlbenchfile.py"
    x = "x = y[:, None] + np.zeros((1, 4))"
    first, _, second = loader.partition("; ")
    code = file.read_text().replace("% beside.CLASSES", f"% ({first})").replace(x, f"{x}\n    {second}")
    file.write_text(code)
    done = run(folder, "--models", "mlp", "--dataset", "blobs")
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith(f"mlbench: error: dataset: blobs: {said}")
    assert done.stderr.count("\n") == 1
    assert not (folder / "results").exists()


@pytest.mark.long
def test_notes_on_the_data_are_on_the_screen_and_in_every_row(tmp_path: Path) -> None:
    """Before the run starts, at its end, and in the files."""
    y = np.arange(64) % 3 + 1
    x = np.zeros((64, 3, 8, 8), np.float32) + y[:, None, None, None]
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=y, x_val=x, y_val=y)
    done = run(tmp_path, "--models", "mlp", "--dataset", "mine.npz")
    assert done.returncode == 0, done.stdout + done.stderr
    wanted = [
        "mine.npz: note: labels from 1 (labels are 1 to 3, of 4 classes counted from 0: subtract 1 from each label)",
        "mine.npz: note: channels first? (images of 3 x 8 x 8 are read as 8 channels of 3 x 8 pixels: "
        "if the first is the channels, save np.moveaxis(x, 1, -1))",
    ]
    said = [line for line in done.stdout.splitlines() if line]
    assert said[:2] == wanted
    assert [said.count(line) for line in wanted] == [2, 2]
    (row,) = json.loads((tmp_path / "results" / "benchmark_results.json").read_text())["rows"]
    assert {"labels from 1", "channels first?"} <= {flag["name"] for flag in row["flags"] if flag["level"] == "note"}


FAULTS = """
import numpy as np
from mlbench_core.data import Dataset
from mlbench_core.hookspecs import DatasetDescriptor, ModelDescriptor, hookimpl
from mlbench_core.trial import ModelSource

@hookimpl
def register_datasets():
    return [DatasetDescriptor(name=name, load=f"mlbenchfile:{name}", kind="vector", description="", files=files)
            for name, files in (("raises", None), ("leaves", None), ("a_dict", None), ("absent", None),
                                ("no_list", "mlbenchfile:one_path"), ("no_files", "mlbenchfile:raises"))
           ] + [DatasetDescriptor(name="no_kind", load="mlbenchfile:raises", kind="pictures", description="")]

@hookimpl
def register_models():
    return [ModelDescriptor(name=name, source=ModelSource("mlbench_core.models.mlp:mlp"), takes=takes, description="")
            for name, takes in (("mine", "vector"), ("pictured", "picture"))]

def raises(request):
    raise ValueError("no such\\ncolumn")

def leaves(request):
    raise SystemExit("bye")

def a_dict(request):
    return {"x_train": np.ones((64, 4))}

def one_path(request):
    return "data.csv"

no_list = no_files = a_dict
"""


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mlbenchfile.py").write_text(FAULTS.replace("\\\\n", "\\n"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


LOADER = "mlbenchfile.py: the data set '{}' cannot be used: its loader 'mlbenchfile:{}' "
FILES = "mlbenchfile.py: the data set '{}' cannot be used: its list of files 'mlbenchfile:{}' "


@pytest.mark.parametrize(
    ("dataset", "why"),
    [
        ("raises", LOADER.format("raises", "raises") + "raised ValueError: no such"),
        ("leaves", LOADER.format("leaves", "leaves") + "raised SystemExit: bye"),
        ("a_dict", LOADER.format("a_dict", "a_dict") + "returned a dict, not a Dataset"),
        ("no_list", FILES.format("no_list", "one_path") + "returned a str, not a list of paths"),
        ("no_files", FILES.format("no_files", "raises") + "raised ValueError: no such"),
        (
            "absent",
            "mlbenchfile.py: the data set 'absent' cannot be used: cannot load 'mlbenchfile:absent': AttributeError: module "
            "'mlbenchfile' has no attribute 'absent'",
        ),
        (
            "no_kind",
            "mlbenchfile.py: the data set 'no_kind' cannot be used: kind is 'pictures', not one of image, vector, tokens, any",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:mlbenchfile.py")
def test_a_data_set_that_goes_wrong_costs_the_trials_that_need_it(faulty: Path, dataset: str, why: str) -> None:
    suite = Suite(
        frameworks=["numpy"], models=["mlp", "mine"], dataset={"mlp": "digits", "mine": dataset}, batch_sizes=[8]
    )
    prepared = suite.prepare()
    assert prepared.faults == {("mine", dataset): why}
    assert set(prepared.folders) == {("mlp", "digits")}
    assert prepared.lines() == [f"fails: {why}"]


@pytest.mark.filterwarnings("ignore:mlbenchfile.py")
def test_nothing_is_started_where_no_trial_can_be_run(faulty: Path) -> None:
    done = run(faulty, "--models", "mine", "pictured", "--dataset", "raises")
    assert done.returncode == 2
    assert "Traceback" not in done.stdout + done.stderr
    assert (
        done.stderr.splitlines()[-1]
        == "mlbench: error: " + LOADER.format("raises", "raises") + "raised ValueError: no such"
    )


@pytest.mark.long
def test_faults_of_plugins_cost_their_own_trials_of_a_run(faulty: Path) -> None:
    """A model whose descriptor is wrong, a loader that raises, and a model that is well: the last is run."""
    (faulty / "config.json").write_text(
        json.dumps({"dataset": {"mine": "raises", "default": "digits"}, "models": ["pictured", "mine", "mlp"]})
    )
    done = run(faulty, "--config", "config.json")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    picture = (
        "mlbenchfile.py: the model 'pictured' cannot be used: takes is 'picture', not one of image, vector, tokens"
    )
    loader = LOADER.format("raises", "raises") + "raised ValueError: no such"
    assert {(r["trial"]["model"], r["status"], r["reason"]) for r in records(faulty)} == {
        ("pictured", "failed", picture),
        ("mine", "failed", loader),
        ("mlp", "ok", ""),
    }
    assert f"mlbench: warning: {picture}" in done.stderr.splitlines()
    assert f"fails: {loader}" in done.stdout.splitlines()


def test_a_model_that_cannot_be_used_is_not_passed_over_by_verify(faulty: Path) -> None:
    command = [MLBENCH, "verify", "--frameworks", "numpy", "--models", "mlp", "pictured"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=faulty, timeout=300)
    assert "unverified numpy pictured cpu\n           mlbenchfile.py: the model" in done.stdout
    assert "verified   numpy mlp cpu" in done.stdout
