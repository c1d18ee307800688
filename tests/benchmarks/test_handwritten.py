"""The hand-written loops run, and hold the models that mlbench holds. One process per framework does all its jobs."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from benchmarks.against_handwritten import Pair, compared, read
from benchmarks.workers import Workers
from mlbench_core.architecture import Architecture
from mlbench_core.data import DataRequest, batches
from mlbench_core.data.adapt import adapt
from mlbench_core.data.bundled import digits
from mlbench_core.models import register_models
from mlbench_core.plugins import attribute
from mlbench_core.trial import Task
from mlbench_core.verify.samples import random_batch
from mlbench_core.worker.tasks import RING

FOLDER = Path(__file__).parents[2] / "benchmarks" / "handwritten"
MODELS = ("mlp", "resnet18", "bert-mini")
QUICK = {"threads": 1, "warmup_steps": 1, "steps_per_value": 1, "values": 2}
BATCHES, BATCH_SIZE = 3, 4


@pytest.fixture(scope="module")
def architectures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Architecture]:
    """What `mlbench run --models mlp resnet18 bert-mini --dataset digits` trains."""
    found = {}
    for model in register_models():
        if model.name in MODELS:
            request = DataRequest(
                argument="", takes=model.takes, seed=0, data_dir=None, cache=tmp_path_factory.mktemp("cache")
            )
            data = adapt(digits(request), model.takes, model.min_image, model.max_length)
            found[model.name] = attribute(model.source.factory)(data.x_train.shape[1:], data.num_classes)
    return found


@pytest.fixture(scope="module")
def common() -> ModuleType:
    spec = importlib.util.spec_from_file_location("handwritten_common", FOLDER / "common.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def job(architecture: Architecture, task: str, folder: Path) -> dict[str, Any]:
    file = folder / f"{architecture.name}.npz"
    taken = [random_batch(architecture, BATCH_SIZE, seed) for seed in range(BATCHES)]
    np.savez(file, x=np.stack([batch.x for batch in taken]), y=np.stack([batch.y for batch in taken]))
    facts = {
        "model": architecture.name,
        "task": task,
        "input_shape": architecture.input_shape,
        "batches": str(file),
        **QUICK,
    }
    if architecture.input_kind == "tokens":
        tables = {parameter.name: parameter.shape for parameter in architecture.parameters()}
        facts["vocabulary"] = tables["tokens.table"][0]
    return {**facts, "num_classes": architecture.num_classes}


def run(script: str, argument: object) -> list[dict[str, Any]]:
    """The lines of a script's standard output, which holds nothing else. It runs from any folder."""
    command = [sys.executable, str(FOLDER / script), json.dumps(argument)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd="/")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("script", ["torch_loops.py", "tf_loops.py", "jax_loops.py"])
@pytest.mark.long
def test_every_model_trains_and_infers(script: str, architectures: dict[str, Architecture], tmp_path: Path) -> None:
    jobs = [job(architectures[model], task, tmp_path) for model in MODELS for task in ("train", "infer")]
    lines = run(script, jobs)
    assert len(lines) == len(jobs)
    for asked, line in zip(jobs, lines, strict=True):
        assert set(line) == {"turns", "first_step_s", "num_parameters"}
        assert line["num_parameters"] == architectures[asked["model"]].num_parameters, asked
        (values,) = line["turns"]
        assert len(values) == QUICK["values"]
        assert min(line["first_step_s"], *values) > 0


def test_a_job_alone_needs_no_list(architectures: dict[str, Architecture], tmp_path: Path) -> None:
    (line,) = run("jax_loops.py", job(architectures["mlp"], "infer", tmp_path))
    assert line["num_parameters"] == architectures["mlp"].num_parameters


def test_the_learning_rates_are_the_architectures(architectures: dict[str, Architecture], common: ModuleType) -> None:
    assert {name: a.optimizer.learning_rate for name, a in architectures.items()} == common.LEARNING_RATE


@pytest.mark.parametrize("task", ["train", "infer"])
def test_both_arms_have_the_same_batches(task: Task, common: ModuleType, tmp_path: Path) -> None:
    workers = Workers(tmp_path)
    ring = str(workers.ring("mlp", task))
    job = common.Job(model="mlp", task=task, batches=ring, input_shape=[64], num_classes=10, **QUICK)
    held = common.batches(job)
    arrays = workers.arrays("mlp")
    x, y = (arrays.x_train, arrays.y_train) if task == "train" else (arrays.x_val, arrays.y_val)
    assert len(held) == (RING if task == "train" else 8 * RING)
    for (found, labels), batch in zip(held, batches(x, y, 32 if task == "train" else 1, 0, 0), strict=False):
        np.testing.assert_array_equal(found, batch.x)
        np.testing.assert_array_equal(labels, batch.y)


def test_half_a_block_is_not_compared(tmp_path: Path) -> None:
    journal = tmp_path / "handwritten.jsonl"
    arms = [("hand", 0, 1.0), ("harness", 0, 1.25), ("harness", 1, 1.25), ("hand", 1, 1.0), ("hand", 2, 5.0)]
    lines = [json.dumps({"key": [arm, "jax mlp train", block], "value": [[s]]}) for arm, block, s in arms]
    journal.write_text("\n".join(lines))
    found = compared(Pair("jax", "mlp", "train"), read(journal))
    assert found.blocks == 2
    assert found.value == pytest.approx(0.8)  # 1 s by hand over 1.25 s in the harness
