"""Models that are right and were once called wrong: containers of somebody's own, and layers that take no smaller sample."""

from collections.abc import Callable

import numpy as np
import pytest
from attrs import frozen

from mlbench_core.architecture import (
    Activation,
    Architecture,
    Dense,
    Dropout,
    Embedding,
    Layer,
    Optimizer,
    Residual,
    SelectToken,
    Sequential,
    Shape,
)
from mlbench_core.architecture.tree import rebuilt, without_dropout
from mlbench_core.errors import UnsupportedError
from mlbench_core.plugins import Framework
from mlbench_core.reference import plugin
from mlbench_core.reference.lowering import lower
from mlbench_core.reference.module import Array, At, Mode, Module
from mlbench_core.testing.mutations import copy_of
from mlbench_core.trial import ModelSource
from mlbench_core.verify.ladder import parity_of
from mlbench_core.verify.rungs import ParityResult
from mlbench_core.verify.samples import depth_scaled, layers_alone
from mlbench_core.verify.subject import Subject

RULE = Optimizer(name="sgd", learning_rate=2**-5)


@frozen
class Gate(Layer):
    """Somebody's container: the sum of its parts, each held in a field of another kind."""

    body: Layer
    others: tuple[Layer, ...]
    named: dict[str, Layer]

    def _parts(self) -> list[tuple[str, Layer]]:
        return [("body", self.body), *((f"other{i}", one) for i, one in enumerate(self.others)), *self.named.items()]

    def output_shape(self, shape: Shape) -> Shape:
        return self.body.output_shape(shape)

    def children(self, shape: Shape) -> list[tuple[str, Layer, Shape]]:
        return [(name, layer, shape) for name, layer in self._parts()]


class Sum(Module):
    def __init__(self, parts: list[Module]) -> None:
        self.parts = parts

    def forward(self, x: Array, mode: Mode) -> Array:
        return np.sum([part.forward(x, mode) for part in self.parts], axis=0)

    def backward(self, dy: Array) -> Array:
        return np.sum([part.backward(dy) for part in self.parts], axis=0)


@lower.register
def _(layer: Gate, site: At) -> Module:
    return Sum([lower(child, site.child(name, shape)) for name, child, shape in layer.children(site.shape)])


def dropping() -> Layer:
    return Sequential({"dense": Dense(6), "drop": Dropout(0.5)})


GATE = Gate(dropping(), (dropping(), Dense(6)), {"last": Residual(dropping())})


def verified(architecture: Architecture) -> ParityResult:
    framework = Framework(copy_of(plugin), "the copy", "copy")
    subject = Subject(
        framework=framework, info=framework.framework_info(), device="cpu", threads=1, seed=0, source=ModelSource("")
    )
    return parity_of(subject, architecture.name, architecture, (("fp32", "default"),))


def net(root: Layer, shape: Shape = (6,), classes: int = 6) -> Architecture:
    tokens = len(shape) == 1 and any(isinstance(layer, Embedding) for _, layer in getattr(root, "layers", ()))
    return Architecture(
        name="net",
        root=root,
        input_shape=shape,
        num_classes=classes,
        optimizer=RULE,
        input_kind="tokens" if tokens else "float",
    )


def rates(layer: Layer) -> list[float]:
    """The dropout rates anywhere in a tree, in a third party's fields too."""
    found: list[float] = []

    def look(one: Layer) -> Layer:
        if isinstance(one, Dropout):
            found.append(one.rate)
        return rebuilt(one, look)

    look(layer)
    return found


def test_dropout_is_found_in_every_field() -> None:
    assert rates(GATE) == [0.5, 0.5, 0.5]
    assert rates(without_dropout(GATE)) == [0.0, 0.0, 0.0]
    assert without_dropout(Dense(3)) == Dense(3)


def test_a_tree_that_does_not_change_is_the_same_object() -> None:
    tree = Sequential({"gate": Gate(Dense(6), (Dense(6),), {"x": Dense(6)})})
    assert rebuilt(tree, lambda layer: layer) is tree


def test_runs_of_equal_blocks_are_found_inside_containers() -> None:
    block = Residual(Dense(6))
    deep = net(Gate(Sequential([block] * 5), (), {"x": Sequential([block, block, Activation("relu")])}))
    slim = depth_scaled(deep).root
    assert isinstance(slim, Gate)
    assert slim.body == Sequential([block])
    assert slim.named["x"] == Sequential([("0", block), ("2", Activation("relu"))])


def test_a_right_model_with_dropout_in_a_container_of_its_own_is_verified() -> None:
    found = verified(net(Sequential({"gate": GATE, "head": Dense(6)})))
    assert found.verdict == "verified", found.why


def test_a_layer_that_needs_the_whole_sequence_is_verified() -> None:
    found = verified(net(Sequential([Embedding(32, 8), Dense(8), SelectToken(15), Dense(4)]), (16,), 4))
    assert found.verdict == "verified", found.why
    assert [rung.number for rung in found.rungs] == [1, 2, 3, 4, 4, 5, 6, 6, 7]


def test_layers_get_a_small_sample_where_they_take_one() -> None:
    model = net(Sequential([Embedding(32, 8), Dense(8), SelectToken(15), Dense(4)]), (16,), 4)
    shapes = {path: alone.input_shape for path, alone in layers_alone(model)}
    assert shapes["1"] == (7, 8)
    assert shapes["2"] == (16, 8)


def refuse_alone(right: Callable[..., Module]) -> Callable[..., Module]:
    def build(layer: SelectToken, site: At) -> Module:
        if "layer" in site.path:
            raise UnsupportedError("SelectToken does not stand alone here")
        return right(layer, site)

    return build


def test_the_rung_at_which_it_stopped_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    right = lower.dispatch(SelectToken)
    lower.register(SelectToken, refuse_alone(right))
    try:
        found = verified(net(Sequential([Embedding(32, 8), SelectToken(0), Dense(4)]), (16,), 4))
    finally:
        lower.register(SelectToken, right)
    assert found.verdict == "unverified"
    assert found.error == "rung 3, layers, could not be checked: SelectToken does not stand alone here"
    assert [rung.number for rung in found.rungs] == [1, 2]
