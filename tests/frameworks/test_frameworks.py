"""The real frameworks in real workers: one run of every plugin serves all questions of this file.

Importing a framework costs seconds, so nothing here starts a worker twice for the same thing.
"""

import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlbench_core import Results
from mlbench_core.runner.matrix import available_cpus

FRAMEWORKS = ["pytorch", "tensorflow", "jax", "numpy"]
PLUGINS = {"pytorch": {"mlbench_torch"}, "tensorflow": {"mlbench_tf"}, "jax": {"mlbench_jax"}, "numpy": set[str]()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("frameworks")


RUN = """
import json, sys
from mlbench_core import Suite
Suite(**json.loads(sys.argv[1])).run().to_dataframe()
print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))
"""


@pytest.fixture(scope="module")
def held_by_the_parent(folder: Path, quick: dict[str, float]) -> set[str]:
    """What the process has imported that verifies and runs; shift-mlp is a third party's model with a layer of its own
    (tests/packages/mlbench-shift)."""
    choices = {
        "frameworks": FRAMEWORKS,
        "models": ["shift-mlp"],
        "num_epochs": 4,
        "output": str(folder),
        "measure": quick,
    }
    done = subprocess.run([sys.executable, "-c", RUN, json.dumps(choices)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def results(folder: Path, held_by_the_parent: set[str]) -> Results:
    return Results.load(folder)


def test_a_third_partys_model_runs_on_all_four(results: Results) -> None:
    assert {(r.trial.framework, r.trial.task): (r.status, r.reason) for r in results.records} == {
        (framework, task): ("ok", "") for framework in FRAMEWORKS for task in ("train", "infer")
    }


def test_all_four_train_alike(results: Results) -> None:
    losses = {
        r.trial.framework: [epoch.loss for epoch in r.measured.epochs]
        for r in results.records
        if r.trial.task == "train"
    }
    for framework in FRAMEWORKS:
        # float32 in four orders of summation over 176 steps; a wrong roll or rule parts by tens of percent.
        assert losses[framework] == pytest.approx(losses["numpy"], rel=2e-3), framework
    accuracies = [row.final_val_accuracy for row in results.rows]
    assert max(accuracies) - min(accuracies) <= 0.02


def test_a_worker_holds_one_framework_only(results: Results) -> None:
    """What a worker has imported at its end, as it says itself in its log."""
    for record in results.records:
        line = next(line for line in Path(record.log).read_text().splitlines() if line.startswith("mlbench modules: "))
        held = set(json.loads(line.partition(": ")[2]))
        own = PLUGINS[record.trial.framework]
        assert {name for name in held if name.startswith("mlbench_")} == {"mlbench_core", "mlbench_shift"} | own
        # `import tensorflow` alone imports jax where it finds it: what a bare framework brings is not the worker's doing.
        foreign = {"torch", "tensorflow", "keras", "jax", "flax", "pandas", "matplotlib", "rich", "typer"}
        assert not held & foreign - brought_along(record.trial.framework)


@functools.cache
def brought_along(framework: str) -> set[str]:
    """What importing the bare framework brings into a process, which is not the worker's doing."""
    if framework == "numpy":
        return set()
    code = {
        "pytorch": "import torch",
        "tensorflow": "import tensorflow, keras",
        "jax": "import jax, optax; from flax import nnx",
    }[framework]
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*{{n.partition('.')[0] for n in sys.modules}})"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_the_parent_holds_no_framework(held_by_the_parent: set[str]) -> None:
    assert "mlbench_core" in held_by_the_parent
    assert not {"torch", "tensorflow", "keras", "jax", "flax", *set().union(*PLUGINS.values())} & held_by_the_parent


def test_workers_report_what_they_ran(results: Results) -> None:
    for record in results.records:
        assert record.measured.framework_version
        assert record.measured.execution != "default"
        assert record.measured.knobs
        assert record.trial.threads == available_cpus()
