"""A multi-layer perceptron for vectors."""

from __future__ import annotations

from mlbench_core.architecture import Activation, Architecture, Dense, Optimizer, Sequential, Shape


def mlp(input_shape: Shape, num_classes: int, hidden: tuple[int, ...] = (512, 512)) -> Architecture:
    """Dense and ReLU per entry of `hidden`, then a Dense head. Input (features,) float.

    The learning rate is a power of two, so that float32 holds it exactly in every framework.
    """
    layers: list[tuple[str, Dense | Activation]] = []
    for i, features in enumerate(hidden):
        layers += [(f"dense{i + 1}", Dense(features)), (f"relu{i + 1}", Activation("relu"))]
    root = Sequential([*layers, ("head", Dense(num_classes))])
    return Architecture(
        name="mlp",
        root=root,
        input_shape=input_shape,
        num_classes=num_classes,
        optimizer=Optimizer(name="sgd", learning_rate=2**-5, momentum=0.9),
    )
