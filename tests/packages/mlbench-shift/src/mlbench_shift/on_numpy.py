"""ShiftScale on the NumPy reference."""

from typing import Any

import numpy as np

from mlbench_core.reference.lowering import lower
from mlbench_core.reference.module import Array, At, Mode, Module, Variable, variables
from mlbench_shift.model import ShiftScale


class ShiftScaleModule(Module):
    def __init__(self, steps: int, gain: Variable) -> None:
        self.steps, self.gain = steps, gain

    def forward(self, x: Array, mode: Mode) -> Array:
        self.shifted = np.roll(x, self.steps, axis=-1)
        return self.shifted * self.gain.value

    def backward(self, dy: Array) -> Array:
        self.gain.grad = (dy * self.shifted).sum(tuple(range(dy.ndim - 1)))
        return np.roll(dy * self.gain.value, -self.steps, axis=-1)


@lower.register
def _(layer: ShiftScale, site: At) -> Module:
    bound: dict[str, Any] = variables(layer, site)
    return ShiftScaleModule(layer.steps, **bound)
