"""What a native layer of the reference is: a forward pass and its closed-form backward pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import Factory, define, field, frozen

from mlbench_core.architecture import Layer, Shape, Site

Array = npt.NDArray[np.floating[Any]]


@define(eq=False)
class Variable:
    """One parameter or running statistic, in the tree's layout.

    value: of the session's type once a session was made. grad: what the last backward pass left, of value's shape.
    """

    shape: Shape
    trainable: bool = True
    value: Array = field(default=Factory(lambda self: np.zeros(self.shape), takes_self=True))
    grad: Array = field(default=Factory(lambda self: np.zeros(self.shape), takes_self=True))


@frozen
class Mode:
    """How a forward pass runs: training or evaluating, and where dropout draws its random numbers."""

    training: bool
    generator: np.random.Generator


class Module(ABC):
    """A native layer. It is called once per pass, so a backward pass may use what the forward pass left on `self`."""

    @abstractmethod
    def forward(self, x: Array, mode: Mode) -> Array:
        """The output for a batch x (batch, *sample shape), of x's type."""

    @abstractmethod
    def backward(self, dy: Array) -> Array:
        """The gradient by the last training-mode forward pass's x, for the gradient dy by its output.

        Assigns (does not add) the gradient of each of the layer's variables to `Variable.grad`.
        """


At = Site[Variable]
"""Where a layer stands while it is lowered to NumPy."""


def variables(layer: Layer, site: At) -> dict[str, Variable]:
    """A Variable for each parameter of `layer`, by its local name, bound at `site`."""
    made = {p.name: Variable(p.shape, p.trainable) for p in layer.parameters(site.shape)}
    for name, variable in made.items():
        site.bind(name, variable)
    return made
