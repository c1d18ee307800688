"""An optimiser is asked for by name, trained with, verified, and one of a third party's goes through all of it."""

from pathlib import Path

import pytest

from mlbench_core import Suite
from mlbench_core.config import Config
from mlbench_core.errors import ConfigError, PluginError
from mlbench_core.registry import load_registry
from mlbench_core.results import Results


def ran(quick: dict[str, float], **keys: object) -> Results:
    asked = {"frameworks": ["numpy"], "models": ["mlp"], "num_epochs": 1, "output": "out", "measure": quick}
    return Suite(**asked | keys).run()


def losses(results: Results) -> list[float]:
    return [record.measured.epochs[-1].loss for record in results.records if record.measured.epochs]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, ("", "")),
        ("adamw", ("adamw", "adamw")),
        ({"mlp": "adamw"}, ("adamw", "")),
        ({"cnn": "sgd", "default": "adamw"}, ("adamw", "sgd")),
    ],
)
def test_a_model_without_one_has_its_own(given: object, found: tuple[str, str]) -> None:
    config = Config.parse({"optimizer": given})
    assert (config.named_for("optimizer", "mlp", ()), config.named_for("optimizer", "resnet18", ("cnn",))) == found
    assert Config.parse(config.to_dict()) == config


def test_an_unknown_one_names_those_there_are() -> None:
    with pytest.raises(PluginError, match="^optimizer: unknown optimiser 'adam': did you mean 'adamw'"):
        Suite(frameworks=["numpy"], models=["mlp"], optimizer="adam")
    with pytest.raises(ConfigError, match="^optimizer: 3 is not a name"):
        Config.parse({"optimizer": 3})


def test_it_is_what_the_model_trains_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: dict[str, float]
) -> None:
    monkeypatch.chdir(tmp_path)
    own = ran(quick)
    other = ran(quick, output="other", optimizer="adamw")
    assert {record.trial.optimizer for record in own.records} == {""}
    assert {record.trial.optimizer for record in other.records} == {"adamw"}
    assert losses(own) != losses(other)
    assert {one.verdict for one in (*own.parity, *other.parity)} == {"verified"}
    assert own.parity[0].digest != other.parity[0].digest


RULE = """
import numpy as np
from attrs import frozen
from mlbench_core.architecture import UpdateRule
from mlbench_core.hookspecs import OptimizerDescriptor, hookimpl
from mlbench_core.trial import OptimizerSource

@frozen(kw_only=True)
class Signs(UpdateRule):
    name: str = "signs"

def signs():
    return Signs(learning_rate=2**-10)

def on_numpy():
    from mlbench_core.reference.optimizers import make_optimizer

    class Updater:
        def __init__(self, rule, trained):
            self.rule, self.trained = rule, trained

        def step(self):
            for _, variable in self.trained:
                variable.value -= self.rule.learning_rate * np.sign(variable.grad)

    make_optimizer.register(Signs, Updater)

@hookimpl
def register_optimizers():
    source = OptimizerSource("mlbenchfile:signs", LOWERINGS)
    return [OptimizerDescriptor(name="signs", source=source, description="the sign of the gradient")]
"""


def test_a_third_partys_rule_lives_in_the_local_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: dict[str, float]
) -> None:
    (tmp_path / "mlbenchfile.py").write_text(RULE.replace("LOWERINGS", '{"numpy": "mlbenchfile:on_numpy"}'))
    monkeypatch.chdir(tmp_path)
    assert "optimiser signs" in load_registry(tmp_path).added_by(load_registry(tmp_path).plugins[-1])
    results = ran(quick, optimizer="signs")
    assert [record.status for record in results.records] == ["ok", "ok"]
    assert [one.verdict for one in results.parity] == ["verified"]
    assert losses(results)[0] < 2.3  # that of guessing


def test_a_rule_that_a_framework_lacks_is_unsupported_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: dict[str, float]
) -> None:
    (tmp_path / "mlbenchfile.py").write_text(RULE.replace("LOWERINGS", "{}"))
    monkeypatch.chdir(tmp_path)
    results = ran(quick, optimizer="signs")
    said = "numpy has no optimiser Signs: register one with @mlbench_core.reference.optimizers.make_optimizer.register"
    train = next(record for record in results.records if record.trial.task == "train")
    assert train.status == "unsupported"
    assert train.reason.startswith(said)
    assert results.parity[0].verdict == "unverified"


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("return 3", "returned a int, not of type UpdateRule"),
        ("raise KeyError('no')", "raised KeyError: 'no'"),
    ],
)
def test_a_function_that_makes_no_rule_is_one_line(
    function: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = RULE.replace("LOWERINGS", "{}").replace("return Signs(learning_rate=2**-10)", function)
    (tmp_path / "mlbenchfile.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    results = ran({}, optimizer="signs")
    assert all(f"the optimiser's function 'mlbenchfile:signs' {said}" in record.reason for record in results.records)
