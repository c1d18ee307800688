"""Names of devices, and what a matrix makes of them."""

from pathlib import Path

import pytest

from mlbench_core import Config
from mlbench_core.devices import gpu_numbers, kind_of, members, normalized, number_of
from mlbench_core.errors import ConfigError
from mlbench_core.installed import FRAMEWORKS, find
from mlbench_core.registry import load_registry
from mlbench_core.runner.matrix import Surroundings, expand
from mlbench_core.trial import Trial


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("cpu", "cpu"), ("cpu*1", "cpu"), ("cpu*2", "cpu*2"), ("cuda", "cuda:0"), ("gpu", "cuda:0"), ("cuda:3", "cuda:3"),
        ("cuda:0-1", "cuda:0-1"), ("cuda:2-2", "cuda:2"), ("cuda:*", "cuda:*"), ("mps", "mps"), ("all", "all"),
        ("cuda:1-0", None), ("cpu*0", None), ("cpu:0", None), ("cuda:", None), ("cuda:0,1", None), ("tpu", None), ("CPU", None),
        ("cpu*2\n", None),
    ],
)  # fmt: skip
def test_a_name_has_one_spelling(name: str, known: str | None) -> None:
    assert normalized(name) == known


@pytest.mark.parametrize(
    ("device", "kind", "each", "numbers"),
    [
        ("cpu", "cpu", ("cpu",), ()),
        ("cpu*3", "cpu", ("cpu", "cpu", "cpu"), ()),
        ("cuda:1", "cuda", ("cuda:1",), (1,)),
        ("cuda:1-3", "cuda", ("cuda:1", "cuda:2", "cuda:3"), (1, 2, 3)),
        ("mps", "mps", ("mps",), ()),
    ],
)
def test_what_is_in_a_name(device: str, kind: str, each: tuple[str, ...], numbers: tuple[int, ...]) -> None:
    assert (kind_of(device), members(device), number_of(device), gpu_numbers(device)) == (
        kind,
        each,
        len(each),
        numbers,
    )


def trials(gpus: int = 0, **keys: object) -> list[Trial]:
    around = Surroundings(frameworks=find(FRAMEWORKS), gpus=gpus, cpus=2)
    return expand(Config().replace(frameworks=["numpy"], models=["mlp"], **keys), load_registry(Path()), around).trials


def test_every_gpu_is_the_group_of_all() -> None:
    assert {trial.device for trial in trials(gpus=3, devices=["cuda:*"], batch_sizes=[6])} == {"cuda:0-2"}
    assert {trial.device for trial in trials(gpus=1, devices=["cuda:*"])} == {"cuda:0"}


def test_several_devices_are_trained_on_only() -> None:
    found = {(trial.device, trial.task) for trial in trials(devices=["cpu", "cpu*2"])}
    assert found == {("cpu", "train"), ("cpu", "infer"), ("cpu*2", "train")}


def test_a_batch_is_shared_or_each_device_has_one() -> None:
    shared = {trial.device: trial.batch_size for trial in trials(devices=["cpu*2"], batch_sizes=[32])}
    each = {
        trial.device: trial.batch_size for trial in trials(devices=["cpu*2"], batch_sizes=[32], batch_per_device=True)
    }
    assert (shared, each) == ({"cpu*2": 32}, {"cpu*2": 64})


def test_a_batch_that_cannot_be_shared_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"batch_sizes: 30 cannot be shared equally by the 4 devices of cpu\*4"):
        trials(devices=["cpu*4"], batch_sizes=[30])


@pytest.mark.parametrize(
    ("device", "why"), [("cuda:0-1", "only cpu, cuda:0"), ("mps", "macOS"), ("cuda:7", "only cpu, cuda:0")]
)
def test_a_device_that_is_absent_is_one_line(device: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        trials(gpus=1, devices=[device])


def test_without_a_gpu_there_is_no_group_of_all() -> None:
    with pytest.raises(ConfigError, match=r"no cuda:\* here, only cpu \(no NVIDIA GPU was found"):
        trials(devices=["cuda:*"])


def test_a_log_of_several_devices_has_a_plain_name() -> None:
    assert {trial.label.partition("-bs")[0] for trial in trials(devices=["cpu*2"])} == {"numpy-mlp-cpux2"}
