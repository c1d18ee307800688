"""The matrix: which trials a configuration makes, in which order, and what it refuses."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from mlbench_core.config import Config
from mlbench_core.entry import Entry
from mlbench_core.errors import MlbenchError
from mlbench_core.hookspecs import FrameworkInfo
from mlbench_core.installed import Found, Installed
from mlbench_core.registry import Registry, load_registry
from mlbench_core.runner.matrix import Matrix, Surroundings, expand
from mlbench_core.serialize import from_json, to_json
from mlbench_core.trial import Trial


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return load_registry(tmp_path_factory.mktemp("empty"))


def around(*names: str, gpus: int = 0) -> Surroundings:
    enabled = tuple(found(name, f"mlbench-{name}") for name in names)
    return Surroundings(frameworks=Installed(enabled=enabled), gpus=gpus, cpus=2)


def found(name: str, distribution: str) -> Found:
    return Found(name=name, module="m", distribution=distribution, version="1", group="g")


BOTH = around("jax", "numpy", "pytorch")


def trials(
    registry: Registry, surroundings: Surroundings = BOTH, skip: tuple[str, ...] = (), **keys: Any
) -> list[Trial]:
    return expand(Config.parse(keys), registry, surroundings, skip).trials


def test_every_combination_is_there_once(registry: Registry) -> None:
    found = trials(registry, models=["mlp", "cnn"], batch_sizes=[32, 64], precision=["fp32", "bf16"], blocks=2)
    train = [t for t in found if t.task == "train"]
    assert len(train) == len(set(train)) == 2 * 2 * 2 * 2 * 2  # frameworks, models, sizes, precisions, blocks
    # Inference does not depend on the training batch size.
    assert sum(t.task == "infer" for t in found) == 2 * 2 * 2 * 2
    assert len({t.key for t in found}) == len(found)


@pytest.mark.parametrize("task", ["train", "infer"])
def test_one_task_alone(registry: Registry, task: str) -> None:
    both, one = trials(registry, models=["mlp"]), trials(registry, models=["mlp"], tasks=[task])
    assert len(one) == 2  # frameworks
    assert set(one) == {trial for trial in both if trial.task == task}


def test_inference_alone_on_several_devices_is_nothing(registry: Registry) -> None:
    with pytest.raises(MlbenchError, match=r"inference on several devices: a query is answered by one$"):
        trials(registry, frameworks=["numpy"], devices=["cpu*2"], tasks=["infer"])


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


def test_a_framework_claimed_twice_fails_only_who_asks_for_it(registry: Registry) -> None:
    enabled = (found("jax", "mlbench-jax"), found("jax", "other-jax"), found("numpy", "mlbench-core"))
    claimed = Surroundings(frameworks=Installed(enabled=enabled), gpus=0, cpus=2)
    assert {t.framework for t in trials(registry, claimed, frameworks=["numpy"])} == {"numpy"}
    with pytest.raises(MlbenchError, match="'jax' is claimed by mlbench-jax 1 and other-jax 1") as error:
        trials(registry, claimed, frameworks=["jax"])
    assert "MLBENCH_DISABLE_PLUGINS=mlbench-jax or MLBENCH_DISABLE_PLUGINS=other-jax" in str(error.value)
    with pytest.warns(UserWarning, match="all leaves one out: 'jax' is claimed"):
        assert {t.framework for t in trials(registry, claimed)} == {"numpy"}
    assert {t.framework for t in trials(registry, claimed, skip=("jax",))} == {"numpy"}


def test_a_disabled_framework_is_called_disabled(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLBENCH_DISABLE_PLUGINS", "mlbench-jax")
    installed = Installed(enabled=(found("numpy", "n"),), disabled=(found("jax", "mlbench-jax"),))
    there = Surroundings(frameworks=installed, gpus=0, cpus=2)
    with pytest.raises(MlbenchError, match="'jax' is disabled by MLBENCH_DISABLE_PLUGINS=mlbench-jax; take it"):
        trials(registry, there, frameworks=["jax"])


def test_all_devices_are_the_cpu_and_every_gpu(registry: Registry) -> None:
    assert {t.device for t in trials(registry, around("jax", gpus=2), devices=["all"])} == {"cpu", "cuda:0", "cuda:1"}


def info(name: str, **offers: tuple[str, ...]) -> FrameworkInfo:
    every: dict[str, Any] = {
        "devices": ("cpu",),
        "precisions": ("fp32", "bf16", "fp64"),
        "executions": ("eager",),
    } | offers
    return FrameworkInfo(name=name, version="1", default_execution="eager", **every)


class Answers:
    """What each framework answers; remembers who was asked."""

    def __init__(self, *infos: FrameworkInfo) -> None:
        self.infos, self.asked = {each.name: each for each in infos}, []

    def __call__(self, entry: Entry, device: str, _node: str) -> FrameworkInfo | None:
        self.asked.append((entry.name, device))
        return self.infos.get(entry.name)


def matrix(registry: Registry, answers: Answers, gpus: int = 0, **keys: Any) -> Matrix:
    return expand(Config.parse(keys), registry, evolve(around("jax", "numpy", "pytorch", gpus=gpus), offers=answers))


def test_all_is_what_each_framework_offers_and_one_line_says_the_rest(registry: Registry) -> None:
    answers = Answers(
        info("jax", executions=("compiled",), precisions=("fp32", "bf16", "fp16", "fp64")),
        info("pytorch", executions=("eager", "compiled", "traced"), precisions=("fp32", "tf32", "bf16", "fp16")),
    )
    found = matrix(registry, answers, execution=["all"], precision=["all"])
    planned = {(t.framework, t.precision, t.execution) for t in found.trials}
    assert planned == {("jax", precision, "compiled") for precision in ("fp32", "bf16", "fp16")} | {
        ("pytorch", precision, execution)
        for precision in ("fp32", "tf32", "bf16", "fp16")
        for execution in ("eager", "compiled", "traced")
    }
    assert len(found.trials) == 2 * len(planned)  # training and inference of each
    assert found.not_offered == "jax: tf32, eager, graph; pytorch: graph"
    assert sorted(answers.asked) == [("jax", "cpu"), ("pytorch", "cpu")]


def test_all_devices_are_those_that_a_framework_runs_on(registry: Registry) -> None:
    answers = Answers(info("jax", devices=("cpu", "cuda:0")), info("numpy"))
    found = matrix(registry, answers, gpus=2, frameworks=["jax", "numpy"], devices=["all"])
    assert {(t.framework, t.device) for t in found.trials} == {
        ("jax", "cpu"), ("jax", "cuda:0"), ("jax", "cuda:1"), ("numpy", "cpu"),
    }  # fmt: skip
    assert found.not_offered == "numpy: cuda:0, cuda:1"


def test_what_one_device_lacks_is_said_of_that_device(registry: Registry) -> None:
    def offers(entry: Entry, device: str, _node: str) -> FrameworkInfo:
        return info(
            entry.name, devices=("cpu", "cuda:0"), precisions=("fp32", "bf16", "fp16", *["tf32"][device == "cpu" :])
        )

    surroundings = evolve(around("jax", gpus=1), offers=offers)
    found = expand(Config.parse({"devices": ["all"], "precision": ["all"]}), registry, surroundings)
    assert found.not_offered == "jax: tf32 on cpu"


def test_what_is_named_is_planned_whether_it_is_offered_or_not(registry: Registry) -> None:
    """Its row says why it cannot be run; and nobody is asked."""
    answers = Answers(info("numpy"))
    found = matrix(registry, answers, frameworks=["numpy"], execution=["graph"], precision=["fp16"])
    assert {(t.precision, t.execution) for t in found.trials} == {("fp16", "graph")}
    assert (found.not_offered, answers.asked) == ("", [])


def test_a_framework_that_cannot_be_asked_is_planned_once(registry: Registry) -> None:
    found = matrix(registry, Answers(), frameworks=["numpy"], execution=["all"], precision=["all"])
    assert [(t.precision, t.execution) for t in found.trials] == [("fp32", "default")] * 2


def test_nothing_left_of_all_is_one_line(registry: Registry) -> None:
    with pytest.raises(MlbenchError, match="nothing is left to run .*; not offered: numpy: eager, graph, compiled$"):
        matrix(registry, Answers(info("numpy", executions=())), frameworks=["numpy"], execution=["all"])


def test_aliases(registry: Registry) -> None:
    found = trials(registry, frameworks=["torch", "pytorch"], models=["cnn", "resnet18", "transformer"])
    assert {(t.framework, t.model) for t in found} == {("pytorch", "resnet18"), ("pytorch", "bert-mini")}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (
            {"frameworks": ["tensorflow"]},
            r"'tensorflow' is not installed \(installed: jax, numpy, pytorch\).*pip install -c \S+ . ./plugins/mlbench-tf",
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
        (
            {"frameworks": [{"name": "jax", "python": "/no/such/python"}]},
            "frameworks: jax: '/no/such/python' is not a Python interpreter that can be started; a relative path starts at",
        ),
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
