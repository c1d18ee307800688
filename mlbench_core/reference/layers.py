"""Layers for any shape: containers, Dense, normalisation, activations, Dropout.

Notation in the backward passes: dx, dy, dkernel ... are the gradients of one scalar (the loss) by x, y, kernel ...
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mlbench_core.reference.module import Array, Mode, Module, Variable


class Sequential(Module):
    """Modules one after another; the chain rule runs them backwards."""

    def __init__(self, modules: Sequence[Module]) -> None:
        self.modules = modules

    def forward(self, x: Array, mode: Mode) -> Array:
        for module in self.modules:
            x = module.forward(x, mode)
        return x

    def backward(self, dy: Array) -> Array:
        for module in reversed(self.modules):
            dy = module.backward(dy)
        return dy


class Residual(Module):
    """body(x) + shortcut(x). Both see the same x, so their gradients by x add up."""

    def __init__(self, body: Module, shortcut: Module | None) -> None:
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Array, mode: Mode) -> Array:
        return self.body.forward(x, mode) + (x if self.shortcut is None else self.shortcut.forward(x, mode))

    def backward(self, dy: Array) -> Array:
        return self.body.backward(dy) + (dy if self.shortcut is None else self.shortcut.backward(dy))


class Gated(Module):
    """body(x) gate(x). By the product rule each passes back dy times the other's output; both see the same x."""

    def __init__(self, body: Module, gate: Module) -> None:
        self.body, self.gate = body, gate

    def forward(self, x: Array, mode: Mode) -> Array:
        self.value, self.factor = self.body.forward(x, mode), self.gate.forward(x, mode)
        return self.value * self.factor

    def backward(self, dy: Array) -> Array:
        return self.body.backward(dy * self.factor) + self.gate.backward(dy * self.value)


class Dense(Module):
    """y = x @ kernel + bias over the last axis."""

    def __init__(self, kernel: Variable, bias: Variable | None = None) -> None:
        self.kernel, self.bias = kernel, bias

    def forward(self, x: Array, mode: Mode) -> Array:
        self.shape = x.shape
        self.x = x.reshape(-1, x.shape[-1])  # one large product instead of one per sample
        y = self.x @ self.kernel.value
        if self.bias is not None:
            y += self.bias.value
        return y.reshape(*x.shape[:-1], -1)

    def backward(self, dy: Array) -> Array:
        """By the product rule: dkernel = x^T dy, dbias = the sum of dy over rows, dx = dy kernel^T."""
        dy = dy.reshape(-1, dy.shape[-1])
        self.kernel.grad = self.x.T @ dy
        if self.bias is not None:
            self.bias.grad = dy.sum(0)
        return (dy @ self.kernel.value.T).reshape(self.shape)


def standardise(x: Array, axis: int, epsilon: float) -> tuple[Array, Array, Array, Array]:
    """(z, scale, mean, variance) with scale = 1 / sqrt(variance + epsilon), z = (x - mean) scale, biased variance."""
    mean = x.mean(axis, keepdims=True)
    centred = x - mean
    variance = np.square(centred).mean(axis, keepdims=True)
    scale = 1 / np.sqrt(variance + epsilon)
    return centred * scale, scale, mean, variance


def standardise_backward(dz: Array, z: Array, scale: Array, axis: int) -> Array:
    """The gradient by x: scale (dz - mean(dz) - z mean(dz z)).

    The first mean comes through x's mean, the second through its variance; epsilon is inside z and scale.
    """
    dx: Array = scale * (dz - dz.mean(axis, keepdims=True) - z * (dz * z).mean(axis, keepdims=True))
    return dx


class BatchNorm(Module):
    """Standardises each channel over the batch and all positions while training, else with the running statistics."""

    def __init__(
        self, scale: Variable, bias: Variable, mean: Variable, var: Variable, epsilon: float, momentum: float
    ) -> None:
        self.scale, self.bias, self.mean, self.var = scale, bias, mean, var
        self.epsilon, self.momentum = epsilon, momentum

    def forward(self, x: Array, mode: Mode) -> Array:
        rows = x.reshape(-1, x.shape[-1])
        if mode.training:
            z, self.inverse, mean, variance = standardise(rows, 0, self.epsilon)
            self.z = z
            for running, batch in ((self.mean, mean), (self.var, variance)):
                running.value = self.momentum * running.value + (1 - self.momentum) * batch[0]
        else:
            z = (rows - self.mean.value) / np.sqrt(self.var.value + self.epsilon)
        return (z * self.scale.value + self.bias.value).reshape(x.shape)

    def backward(self, dy: Array) -> Array:
        rows = dy.reshape(-1, dy.shape[-1])
        self.scale.grad = (rows * self.z).sum(0)
        self.bias.grad = rows.sum(0)
        return standardise_backward(rows * self.scale.value, self.z, self.inverse, 0).reshape(dy.shape)


class LayerNorm(Module):
    """Standardises each position's channels, then scale and bias."""

    def __init__(self, scale: Variable, bias: Variable, epsilon: float) -> None:
        self.scale, self.bias, self.epsilon = scale, bias, epsilon

    def forward(self, x: Array, mode: Mode) -> Array:
        self.z, self.inverse, _mean, _variance = standardise(x, -1, self.epsilon)
        return self.z * self.scale.value + self.bias.value

    def backward(self, dy: Array) -> Array:
        rows = tuple(range(dy.ndim - 1))
        self.scale.grad = (dy * self.z).sum(rows)
        self.bias.grad = dy.sum(rows)
        return standardise_backward(dy * self.scale.value, self.z, self.inverse, -1)


class RMSNorm(Module):
    """Divides each position's channels by their root mean square, then scale."""

    def __init__(self, scale: Variable, epsilon: float) -> None:
        self.scale, self.epsilon = scale, epsilon

    def forward(self, x: Array, mode: Mode) -> Array:
        self.inverse = 1 / np.sqrt(np.square(x).mean(-1, keepdims=True) + self.epsilon)
        self.z = x * self.inverse
        y: Array = self.z * self.scale.value
        return y

    def backward(self, dy: Array) -> Array:
        """As in standardise_backward without a mean: dx = inverse (dz - z mean(dz z))."""
        self.scale.grad = (dy * self.z).sum(tuple(range(dy.ndim - 1)))
        dz = dy * self.scale.value
        dx: Array = self.inverse * (dz - self.z * (dz * self.z).mean(-1, keepdims=True))
        return dx


class LayerScale(Module):
    """y = x * scale over the last axis."""

    def __init__(self, scale: Variable) -> None:
        self.scale = scale

    def forward(self, x: Array, mode: Mode) -> Array:
        self.x = x
        return x * self.scale.value

    def backward(self, dy: Array) -> Array:
        self.scale.grad = (dy * self.x).sum(tuple(range(dy.ndim - 1)))
        return dy * self.scale.value


class Relu(Module):
    """max(x, 0); the slope at 0 is taken as 0, as frameworks do."""

    def forward(self, x: Array, mode: Mode) -> Array:
        self.positive = x > 0
        return np.maximum(x, 0)

    def backward(self, dy: Array) -> Array:
        return dy * self.positive


class Tanh(Module):
    """tanh' = 1 - tanh^2."""

    def forward(self, x: Array, mode: Mode) -> Array:
        self.y: Array = np.tanh(x)
        return self.y

    def backward(self, dy: Array) -> Array:
        return dy * (1 - self.y * self.y)


class Gelu(Module):
    """x Phi(x), Phi the normal distribution function; the derivative is Phi(x) + x phi(x), phi its density."""

    def __init__(self) -> None:
        from scipy.special import ndtr  # takes a tenth of a second: only models that need it pay

        self.distribution = ndtr

    def forward(self, x: Array, mode: Mode) -> Array:
        self.x, self.phi = x, self.distribution(x)
        y: Array = x * self.phi
        return y

    def backward(self, dy: Array) -> Array:
        density: Array = np.exp(self.x * self.x / -2) / math.sqrt(2 * math.pi)
        dx: Array = dy * (self.phi + self.x * density)
        return dx


class Silu(Module):
    """x s(x), s the logistic function; the derivative is s (1 + x (1 - s))."""

    def __init__(self) -> None:
        from scipy.special import expit  # takes a tenth of a second: only models that need it pay

        self.function = expit

    def forward(self, x: Array, mode: Mode) -> Array:
        self.x, self.logistic = x, self.function(x)
        y: Array = x * self.logistic
        return y

    def backward(self, dy: Array) -> Array:
        dx: Array = dy * self.logistic * (1 + self.x * (1 - self.logistic))
        return dx


class Dropout(Module):
    """Multiplies by a random mask of 0 and 1 / (1 - rate) while training."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def forward(self, x: Array, mode: Mode) -> Array:
        if not mode.training or self.rate == 0:
            self.mask = np.ones((), x.dtype)
            return x
        kept = mode.generator.random(x.shape, np.float32) >= self.rate
        self.mask = kept.astype(x.dtype) / (1 - self.rate)
        return x * self.mask

    def backward(self, dy: Array) -> Array:
        return dy * self.mask


class Flatten(Module):
    """(batch, ...) to (batch, everything) in row-major order."""

    def forward(self, x: Array, mode: Mode) -> Array:
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dy: Array) -> Array:
        return dy.reshape(self.shape)
