"""The model birch: a tree of layers, written once for every framework."""

from mlbench_core.architecture import Activation, Architecture, Dense, Optimizer, Sequential, Shape


def birch(input_shape: Shape, num_classes: int) -> Architecture:
    """A hidden layer of 64, and logits."""
    # TODO 1: your layers, by name; mlbench_core.architecture has them all. The last one gives `num_classes` logits.
    root = Sequential({"hidden": Dense(64), "relu": Activation("relu"), "head": Dense(num_classes)})
    return Architecture(
        name="birch",
        root=root,
        input_shape=input_shape,
        num_classes=num_classes,
        # TODO 2: the rule that it is trained with, "sgd" or "adamw". A power of two is the same number in every type.
        optimizer=Optimizer(name="sgd", learning_rate=2**-5),
    )
