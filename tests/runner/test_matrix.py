"""The matrix: which trials a configuration makes, in which order, and what it refuses."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mlbench_core.config import Config
from mlbench_core.errors import MlbenchError
from mlbench_core.plugins import Found, Registry, load_registry
from mlbench_core.runner.matrix import Surroundings, expand
from mlbench_core.trial import Trial, from_json, to_json


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return load_registry(tmp_path_factory.mktemp("empty"))


def around(*names: str, gpus: int = 0) -> Surroundings:
    return Surroundings({n: Found(n, "m", f"mlbench-{n}", "1", "g") for n in names}, gpus, 2)


BOTH = around("jax", "numpy", "pytorch")


def trials(
    registry: Registry, surroundings: Surroundings = BOTH, skip: tuple[str, ...] = (), **keys: Any
) -> list[Trial]:
    return expand(Config.parse(keys), registry, surroundings, skip)


def test_every_combination_is_there_once(registry: Registry) -> None:
    found = trials(registry, models=["mlp", "cnn"], batch_sizes=[32, 64], precision=["fp32", "bf16"], blocks=2)
    train = [t for t in found if t.task == "train"]
    assert len(train) == len(set(train)) == 2 * 2 * 2 * 2 * 2  # frameworks, models, sizes, precisions, blocks
    # Inference does not depend on the training batch size.
    assert sum(t.task == "infer" for t in found) == 2 * 2 * 2 * 2
    assert len({t.key for t in found}) == len(found)


def test_every_block_holds_every_cell_in_its_own_order(registry: Registry) -> None:
    found = trials(registry, models=["mlp", "cnn"], batch_sizes=[1, 2, 4, 8], blocks=3)
    assert [t.block for t in found] == sorted(t.block for t in found)
    orders = [[(t.framework, t.model, t.batch_size, t.task) for t in found if t.block == block] for block in range(3)]
    assert Counter(orders[0]) == Counter(orders[1]) == Counter(orders[2])
    assert orders[0] != orders[1] != orders[2]
    assert found == trials(registry, models=["mlp", "cnn"], batch_sizes=[1, 2, 4, 8], blocks=3)


def test_real_training_happens_in_the_first_block_only(registry: Registry) -> None:
    assert {(t.block, t.num_epochs) for t in trials(registry, blocks=2) if t.task == "train"} == {(0, 5), (1, 0)}


def test_all_frameworks_are_the_installed_ones_and_numpy_only_alone(registry: Registry) -> None:
    assert {t.framework for t in trials(registry)} == {"jax", "pytorch"}
    assert {t.framework for t in trials(registry, around("numpy"))} == {"numpy"}
    assert {t.framework for t in trials(registry, skip=("torch",))} == {"jax"}
    assert {t.framework for t in trials(registry, skip=("tensorflow",))} == {"jax", "pytorch"}


def test_all_devices_are_the_cpu_and_every_gpu(registry: Registry) -> None:
    assert {t.device for t in trials(registry, around("jax", gpus=2), devices=["all"])} == {"cpu", "cuda:0", "cuda:1"}


def test_aliases(registry: Registry) -> None:
    found = trials(registry, frameworks=["torch", "pytorch"], models=["cnn", "resnet18", "transformer"])
    assert {(t.framework, t.model) for t in found} == {("pytorch", "resnet18"), ("pytorch", "bert-mini")}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (
            {"frameworks": ["tensorflow"]},
            r"'tensorflow' is not installed \(installed: jax, numpy, pytorch\).*pip install mlbench-tf",
        ),
        ({"frameworks": ["pytroch"]}, "unknown framework 'pytroch': did you mean 'pytorch'"),
        ({"models": ["resnet19"]}, "models: unknown model 'resnet19'"),
        ({"dataset": "imagenet"}, "dataset: unknown data set 'imagenet'"),
        ({"dataset": "data/mine.npy"}, "there is no file 'data/mine.npy'"),
        (
            {"dataset": "breast_cancer", "models": ["cnn"]},
            "resnet18 takes images, and 'breast_cancer' holds vector data; .*cifar10",
        ),
        ({"devices": ["cuda:0"]}, r"there is no cuda:0 here, only cpu \(no NVIDIA GPU"),
        ({"executor": "cluster"}, "executor: unknown executor 'cluster'"),
        ({"interpreters": {"jax": "/no/such/python"}}, "'/no/such/python' is not a Python interpreter"),
        ({"skip": ("jax", "torch")}, "no framework is left"),
        ({"skip": ("jaks",)}, "--skip-frameworks: unknown framework 'jaks'"),
    ],
)
def test_what_cannot_run_is_one_line(registry: Registry, keys: dict[str, Any], words: str) -> None:
    with pytest.raises(MlbenchError, match=words) as error:
        trials(registry, **keys)
    assert "\n" not in str(error.value)


def test_a_gpu_that_is_not_there_lists_those_that_are(registry: Registry) -> None:
    with pytest.raises(MlbenchError, match="there is no cuda:1 here, only cpu, cuda:0$"):
        trials(registry, around("jax", gpus=1), devices=["cuda:1"])


def test_a_trial_survives_json(registry: Registry, tmp_path: Path) -> None:
    for trial in trials(registry):
        again = from_json(to_json(trial), Trial)
        assert (again, again.key) == (trial, trial.key)
