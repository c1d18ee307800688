"""The hand-written loops run, and hold the models that mlbench holds. One process per framework does all its jobs."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mlbench_core.architecture import Architecture
from mlbench_core.data import DataRequest
from mlbench_core.data.adapt import adapt
from mlbench_core.data.bundled import digits
from mlbench_core.models import register_models
from mlbench_core.plugins import attribute

FOLDER = Path(__file__).parents[2] / "benchmarks" / "handwritten"
MODELS = ("mlp", "resnet18", "bert-mini")
QUICK = {"batch_size": 4, "threads": 1, "warmup_steps": 1, "steps_per_value": 1, "values": 2}


@pytest.fixture(scope="module")
def architectures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Architecture]:
    """What `mlbench run --models mlp resnet18 bert-mini --dataset digits` trains."""
    found = {}
    for model in register_models():
        if model.name in MODELS:
            request = DataRequest("", model.takes, 0, None, tmp_path_factory.mktemp("cache"))
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


def job(architecture: Architecture, task: str) -> dict[str, Any]:
    facts = {"model": architecture.name, "task": task, "input_shape": architecture.input_shape, **QUICK}
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
def test_every_model_trains_and_infers(script: str, architectures: dict[str, Architecture]) -> None:
    jobs = [job(architectures[model], task) for model in MODELS for task in ("train", "infer")]
    lines = run(script, jobs)
    assert len(lines) == len(jobs)
    for asked, line in zip(jobs, lines, strict=True):
        assert set(line) == {"turns", "first_step_s", "num_parameters"}
        assert line["num_parameters"] == architectures[asked["model"]].num_parameters, asked
        (values,) = line["turns"]
        assert len(values) == QUICK["values"]
        assert min(line["first_step_s"], *values) > 0


def test_a_job_alone_needs_no_list(architectures: dict[str, Architecture]) -> None:
    (line,) = run("jax_loops.py", job(architectures["mlp"], "infer"))
    assert line["num_parameters"] == architectures["mlp"].num_parameters


def test_the_learning_rates_are_the_architectures(architectures: dict[str, Architecture], common: ModuleType) -> None:
    assert {name: a.optimizer.learning_rate for name, a in architectures.items()} == common.LEARNING_RATE


def test_batches_are_seeded_and_in_range(architectures: dict[str, Architecture], common: ModuleType) -> None:
    asked = common.Job(**{**job(architectures["bert-mini"], "train"), "token_ids": 17})
    once, again = common.batches(asked), common.batches(asked)
    assert len(once) == common.TRAIN_BATCHES
    assert all((x == other).all() and (y == label).all() for (x, y), (other, label) in zip(once, again, strict=True))
    assert max(x.max() for x, _ in once) < 17
