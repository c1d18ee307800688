"""An `Architecture`: one model as data, with its parameter table and FLOPs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from attrs import evolve, field, fields, frozen

from mlbench_core.architecture.layer import Layer, Parameter, Shape, join
from mlbench_core.architecture.layers import Dropout
from mlbench_core.architecture.loss import CrossEntropy, Loss
from mlbench_core.architecture.optimizer import UpdateRule
from mlbench_core.errors import ArchitectureError


@frozen(kw_only=True)
class Architecture:
    """One model, written once: every framework plugin lowers `root` to its own layers.

    A sample is an array of `input_shape`, float for `input_kind` "float" and integer token ids for "tokens"; the output is
    `num_classes` logits. `optimizer` and `loss` are the model's own.
    """

    name: str
    root: Layer
    input_shape: Shape
    num_classes: int
    optimizer: UpdateRule
    input_kind: Literal["float", "tokens"] = "float"
    loss: Loss = field(factory=CrossEntropy)

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
        return evolve(self, root=without_dropout(self.root))


def walk(layer: Layer, shape: Shape, path: str = "") -> Iterator[tuple[str, Layer, Shape]]:
    """Every layer below and including `layer`, parents first: (path, layer, input sample's shape)."""
    yield path, layer, shape
    for name, child, at in layer.children(shape):
        yield from walk(child, at, join(path, name))


def without_dropout(layer: Layer) -> Layer:
    """The layer with every dropout rate in it 0."""
    return evolve(layer, rate=0.0) if isinstance(layer, Dropout) else rebuilt(layer, without_dropout)


def rebuilt(layer: Layer, change: Callable[[Layer], Layer]) -> Layer:
    """The layer with `change` made to every layer that it holds, in whatever field, alone or in tuples, lists or mappings: a
    third party's container is followed like the core's own."""
    changed = {}
    for attribute in fields(type(layer)):
        old = getattr(layer, attribute.name)
        new = _changed(old, change)
        if new is not old:
            changed[attribute.alias] = new
    return evolve(layer, **changed) if changed else layer


def _changed(value: Any, change: Callable[[Layer], Layer]) -> Any:
    """The value itself if nothing in it is changed."""
    if isinstance(value, Layer):
        return change(value)
    if isinstance(value, (tuple, list)):
        items = [_changed(item, change) for item in value]
        same = all(new is old for new, old in zip(items, value, strict=True))
        return value if same else type(value)(items)
    if isinstance(value, Mapping):
        entries = {key: _changed(item, change) for key, item in value.items()}
        return value if all(entries[key] is value[key] for key in value) else entries
    return value
