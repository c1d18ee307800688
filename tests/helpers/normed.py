"""An `mlbenchfile.py` with a small model that has a BatchNorm, whose statistics are over the whole batch."""

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
