"""A loss is asked for by name, trained with, verified, and one of a third party's goes through all of it."""

from pathlib import Path

import pytest
from attrs import evolve

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
        ("cross-entropy", ("cross-entropy", "cross-entropy")),
        ({"mlp": "squared"}, ("squared", "")),
        ({"cnn": "squared", "default": "cross-entropy"}, ("cross-entropy", "squared")),
    ],
)
def test_a_model_without_one_has_its_own(given: object, found: tuple[str, str]) -> None:
    config = Config.parse({"loss": given})
    assert (config.named_for("loss", "mlp", ()), config.named_for("loss", "resnet18", ("cnn",))) == found
    assert Config.parse(config.to_dict()) == config


def test_an_unknown_one_names_those_there_are() -> None:
    with pytest.raises(PluginError, match="^loss: unknown loss 'crossentropy': did you mean 'cross-entropy'"):
        Suite(frameworks=["numpy"], models=["mlp"], loss="crossentropy")
    with pytest.raises(ConfigError, match="^loss: 3 is not a name"):
        Config.parse({"loss": 3})


LOSS = """
import numpy as np
from attrs import frozen
from mlbench_core.architecture import Loss
from mlbench_core.hookspecs import LossDescriptor, hookimpl
from mlbench_core.trial import LossSource

@frozen(kw_only=True)
class Squared(Loss):
    name: str = "squared"

def squared():
    return Squared()

def on_numpy():
    from mlbench_core.reference.losses import make_loss

    def function(logits, labels):
        difference = logits - np.eye(logits.shape[1], dtype=logits.dtype)[labels]
        return np.square(difference).sum(1).mean(), 2 * difference / len(labels)

    make_loss.register(Squared, lambda loss: function)

@hookimpl
def register_losses():
    source = LossSource("mlbenchfile:squared", LOWERINGS)
    return [LossDescriptor(name="squared", source=source, description="the distance from the label's corner")]
"""


def test_a_third_partys_loss_lives_in_the_local_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: dict[str, float]
) -> None:
    (tmp_path / "mlbenchfile.py").write_text(LOSS.replace("LOWERINGS", '{"numpy": "mlbenchfile:on_numpy"}'))
    monkeypatch.chdir(tmp_path)
    assert "loss squared" in load_registry(tmp_path).added_by(load_registry(tmp_path).plugins[-1])
    own, other = ran(quick), ran(quick, output="other", loss="squared")
    assert {record.status for record in (*own.records, *other.records)} == {"ok"}
    assert {one.verdict for one in (*own.parity, *other.parity)} == {"verified"}
    assert {record.trial.loss for record in own.records} == {""}
    assert {record.trial.loss for record in other.records} == {"squared"}
    assert own.parity[0].digest != other.parity[0].digest
    assert losses(own) != losses(other)
    assert losses(other)[0] < 1.0  # that of logits that are all 0
    train = other.records[0].trial
    assert train.key != evolve(train, loss="").key


def test_a_loss_that_a_framework_lacks_is_unsupported_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: dict[str, float]
) -> None:
    (tmp_path / "mlbenchfile.py").write_text(LOSS.replace("LOWERINGS", "{}"))
    monkeypatch.chdir(tmp_path)
    results = ran(quick, loss="squared")
    said = "numpy has no loss Squared: register one with @mlbench_core.reference.losses.make_loss.register"
    train = next(record for record in results.records if record.trial.task == "train")
    assert train.status == "unsupported"
    assert train.reason.startswith(said)
    assert results.parity[0].verdict == "unverified"


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("return 3", "returned a int, not of type Loss"),
        ("raise KeyError('no')", "raised KeyError: 'no'"),
    ],
)
def test_a_function_that_makes_no_loss_is_one_line(
    function: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = LOSS.replace("LOWERINGS", "{}").replace("return Squared()", function)
    (tmp_path / "mlbenchfile.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    results = ran({}, loss="squared")
    assert all(f"the loss's function 'mlbenchfile:squared' {said}" in record.reason for record in results.records)
