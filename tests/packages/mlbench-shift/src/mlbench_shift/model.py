"""The layer that the vocabulary lacks, and a model that uses it."""

from attrs import frozen

from mlbench_core.architecture import (
    Activation,
    Architecture,
    Constant,
    Dense,
    Layer,
    Optimizer,
    Parameter,
    Sequential,
    Shape,
)


@frozen
class ShiftScale(Layer):
    """y[..., i] = gain[i] * x[..., i - steps], the index taken cyclically. Gain (features,)."""

    steps: int

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        return (Parameter("gain", shape[-1:], Constant(1.0)),)


def shift_mlp(input_shape: Shape, num_classes: int) -> Architecture:
    root = Sequential(
        {"hidden": Dense(64), "shift": ShiftScale(3), "relu": Activation("relu"), "head": Dense(num_classes)}
    )
    return Architecture(
        name="shift-mlp",
        root=root,
        input_shape=input_shape,
        num_classes=num_classes,
        optimizer=Optimizer(name="sgd", learning_rate=2**-5),
    )
