"""PReLU in NumPy: what the frameworks are compared with."""

import numpy as np

from mlbench_core.reference.lowering import lower
from mlbench_core.reference.module import Array, At, Mode, Module, Variable, variables
from mlbench_prelu.layer import PReLU


class PReLUModule(Module):
    """Keeps its input for the way back."""

    def __init__(self, slope: Variable) -> None:
        self.slope = slope

    def forward(self, x: Array, mode: Mode) -> Array:
        """(batch, ..., features) in and out."""
        self.x = x
        return np.where(x > 0, x, self.slope.value * x)

    def backward(self, dy: Array) -> Array:
        """The gradient by the input; the slopes' is a sum over all other axes."""
        below = np.where(self.x > 0, 0, dy)
        self.slope.grad = (below * self.x).sum(tuple(range(dy.ndim - 1)))
        return np.where(self.x > 0, dy, self.slope.value * dy)


@lower.register
def _(layer: PReLU, site: At) -> Module:
    return PReLUModule(**variables(layer, site))
