"""The layer, and a model that uses it."""

from attrs import frozen

from mlbench_core.architecture import (
    Architecture,
    Constant,
    Conv2D,
    Dense,
    GlobalAveragePool2D,
    Layer,
    MaxPool2D,
    Optimizer,
    Parameter,
    Sequential,
    Shape,
)


@frozen
class PReLU(Layer):
    """y = x where x is above 0, else slope * x, with a slope per feature. Any shape (..., features)."""

    initial: float = 0.25

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        """The slopes, (features,)."""
        return (Parameter("slope", shape[-1:], Constant(self.initial)),)


def cnn(input_shape: Shape, num_classes: int) -> Architecture:
    """Two convolutions, images (height, width, channels) with sides of at least 2 pixels."""
    root = Sequential(
        {
            "conv1": Conv2D(16, 3, padding=1),
            "prelu1": PReLU(),
            "pool": MaxPool2D(2, 2),
            "conv2": Conv2D(32, 3, padding=1),
            "prelu2": PReLU(),
            "mean": GlobalAveragePool2D(),
            "head": Dense(num_classes),
        }
    )
    rule = Optimizer(name="sgd", learning_rate=2**-6)
    return Architecture(name="prelu-cnn", root=root, input_shape=input_shape, num_classes=num_classes, optimizer=rule)
