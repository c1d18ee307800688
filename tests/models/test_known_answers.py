"""The shipped models against published figures."""

import pytest

from mlbench_core.architecture import Shape
from mlbench_core.models import register_models
from mlbench_core.plugins import attribute

FACTORIES = {model.name: attribute(model.source.factory) for model in register_models()}


# torchvision's model pages (ResNet); for 10 classes, 512 x 990 + 990 fewer; BERT: google-research/bert's bert-base-uncased
# with a head of 2 classes.
@pytest.mark.parametrize(
    ("name", "shape", "classes", "parameters"),
    [
        ("resnet18", (224, 224, 3), 1000, 11_689_512),
        ("resnet18", (32, 32, 3), 10, 11_181_642),
        ("resnet34", (224, 224, 3), 1000, 21_797_672),
        ("resnet50", (224, 224, 3), 1000, 25_557_032),
        ("bert-base", (128,), 2, 109_483_778),
    ],
)
def test_published_parameter_counts(name: str, shape: Shape, classes: int, parameters: int) -> None:
    assert FACTORIES[name](shape, classes).num_parameters == parameters


@pytest.mark.parametrize(("name", "gmac"), [("resnet18", 1.81), ("resnet34", 3.66), ("resnet50", 4.09)])
def test_published_macs(name: str, gmac: float) -> None:
    assert round(FACTORIES[name]((224, 224, 3), 1000).macs / 1e9, 2) == gmac


def test_mlp_counts() -> None:
    assert FACTORIES["mlp"]((64,), 10).num_parameters == 64 * 512 + 512 + 512 * 512 + 512 + 512 * 10 + 10


@pytest.mark.parametrize("name", FACTORIES)
def test_learning_rates_are_exact_in_float32(name: str) -> None:
    import numpy as np

    shape = {"mlp": (64,), "resnet": (32, 32, 1), "bert-t": (64,), "bert-m": (64,), "bert-b": (64,)}
    model = FACTORIES[name](next(value for key, value in shape.items() if name.startswith(key)), 10)
    rate = model.optimizer.learning_rate
    assert float(np.float32(rate)) == rate


def test_digests_tell_models_apart() -> None:
    models = [FACTORIES[name]((32, 32, 3), classes) for name in ("resnet18", "resnet34") for classes in (2, 3)]
    assert len({model.digest for model in models}) == 4
    assert models[0].digest == FACTORIES["resnet18"]((32, 32, 3), 2).digest
