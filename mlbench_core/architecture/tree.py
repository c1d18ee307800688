"""An `Architecture`: one model as data, with its parameter table and FLOPs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Literal

from attrs import evolve, field, frozen, validators

from mlbench_core.architecture.layer import Layer, Parameter, Shape, join
from mlbench_core.architecture.layers import Dropout, Residual, Sequential
from mlbench_core.errors import ArchitectureError


@frozen
class Optimizer:
    """The update rule a model is trained with; the same arithmetic in every framework.

    sgd:   buffer = momentum * buffer + gradient;  p -= learning_rate * buffer
    adamw: Loshchilov & Hutter's decoupled decay:
           p -= learning_rate * (m_hat / (sqrt(v_hat) + epsilon) + weight_decay * p), bias-corrected moments.
    Only parameters with two or more axes decay (BERT's own rule: no biases, no normalisation), see `decays`.
    """

    name: Literal["sgd", "adamw"] = field(validator=validators.in_(("sgd", "adamw")))
    learning_rate: float = field(validator=validators.gt(0))
    momentum: float = 0.9
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def __attrs_post_init__(self) -> None:
        if self.name == "sgd" and self.weight_decay:
            raise ArchitectureError("the optimiser sgd takes no weight_decay; adamw does")

    def decays(self, parameter: Parameter) -> bool:
        """Whether `weight_decay` applies to this parameter."""
        return self.weight_decay > 0 and len(parameter.shape) >= 2


@frozen
class Architecture:
    """One model, written once: every framework plugin lowers `root` to its own layers.

    A sample is an array of `input_shape`, float for `input_kind` "float" and integer token ids for "tokens"; the output is
    `num_classes` logits. The loss is the mean softmax cross-entropy over the batch. `optimizer` is the model's own.
    """

    name: str
    root: Layer
    input_shape: Shape
    num_classes: int
    optimizer: Optimizer
    input_kind: Literal["float", "tokens"] = "float"

    def __attrs_post_init__(self) -> None:
        try:
            out = self.root.output_shape(self.input_shape)
        except ArchitectureError as error:
            raise ArchitectureError(f"{self.name} with input {self.input_shape}: {error}") from None
        if out != (self.num_classes,):
            raise ArchitectureError(f"{self.name} returns {out} per sample, not {self.num_classes} logits")

    def walk(self) -> Iterator[tuple[str, Layer, Shape]]:
        """Every layer of the tree, parents first: (path, layer, shape of the sample that reaches it)."""
        return walk(self.root, self.input_shape)

    def parameters(self) -> tuple[Parameter, ...]:
        """The parameter table: every parameter with its path as its name, in the tree's order."""
        return tuple(
            evolve(parameter, name=join(path, parameter.name))
            for path, layer, shape in self.walk()
            for parameter in layer.parameters(shape)
        )

    @property
    def num_parameters(self) -> int:
        """The number of trainable elements, as papers and model zoos count them."""
        return sum(parameter.size for parameter in self.parameters() if parameter.trainable)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the forward pass of one sample (see `Layer.macs` for what counts)."""
        return sum(layer.macs(shape) for _, layer, shape in self.walk())

    def flops(self, task: Literal["train", "infer"]) -> int:
        """FLOPs for one sample: 2 per MAC; training is three forward passes (forward, and two products backward)."""
        return 2 * self.macs * (3 if task == "train" else 1)

    @property
    def digest(self) -> str:
        """A short hash of everything that makes this model what it is: the same tree has the same digest."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]

    def without_dropout(self) -> Architecture:
        """The same model with every dropout rate 0, so that training is deterministic across frameworks."""
        return evolve(self, root=_without_dropout(self.root))


def walk(layer: Layer, shape: Shape, path: str = "") -> Iterator[tuple[str, Layer, Shape]]:
    """Every layer below and including `layer`, parents first: (path, layer, input sample's shape)."""
    yield path, layer, shape
    for name, child, at in layer.children(shape):
        yield from walk(child, at, join(path, name))


def _without_dropout(layer: Layer) -> Layer:
    if isinstance(layer, Dropout):
        return Dropout(0.0)
    if isinstance(layer, Sequential):
        return Sequential([(name, _without_dropout(child)) for name, child in layer.layers])
    if isinstance(layer, Residual):
        return Residual(_without_dropout(layer.body), layer.shortcut and _without_dropout(layer.shortcut))
    return layer
