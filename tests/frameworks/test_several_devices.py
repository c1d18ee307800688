"""Several devices with equal parts of each batch train as one device with the whole: the parity ladder on virtual CPU devices.

Its lock-step compares 25 float64 steps with the reference's, which has one device: losses to 1e-9, weights to 1e-8.
"""

from pathlib import Path

import pytest

from mlbench_core import Suite

MODEL = """
from mlbench_core.architecture import (
    Activation, Architecture, BatchNorm, Conv2D, Dense, GlobalAveragePool2D, Optimizer, Sequential,
)
from mlbench_core.hookspecs import ModelDescriptor, hookimpl
from mlbench_core.trial import ModelSource


def normed(input_shape, num_classes):
    layers = [Conv2D(8, 3, padding=1), BatchNorm(), Activation("relu"), GlobalAveragePool2D(), Dense(num_classes)]
    optimizer = Optimizer(name="sgd", learning_rate=0.0625, momentum=0.9)
    return Architecture(
        name="normed", root=Sequential(layers), input_shape=input_shape, num_classes=num_classes, optimizer=optimizer
    )


@hookimpl
def register_models():
    return [ModelDescriptor(name="normed", source=ModelSource("mlbenchfile:normed"), takes="image", description="")]
"""


@pytest.mark.parametrize(
    "devices", ["cpu*2", *(pytest.param(name, marks=pytest.mark.long) for name in ("cpu*4", "cpu*8"))]
)
@pytest.mark.parametrize("framework", ["pytorch", "tensorflow", "jax"])
def test_several_devices_train_as_one(
    framework: str, devices: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlbenchfile.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    suite = Suite(
        frameworks=[framework],
        models=["mlp", "normed", "bert-tiny"],
        dataset="synthetic",
        devices=[devices],
        output="out",
    )
    found = {result.model: (result.verdict, result.why) for result in suite.verify(fresh=True)}
    logs = "".join(path.read_text()[-2000:] for path in Path("out/logs").glob("*.log"))
    assert found == dict.fromkeys(("mlp", "normed", "bert-tiny"), ("verified", "")), logs
