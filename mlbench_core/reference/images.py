"""Layers for images (batch, height, width, channels): convolution and pooling."""

from __future__ import annotations

import numpy as np

from mlbench_core.reference.module import Array, Mode, Module, Variable


def patches(x: Array, size: int, stride: int, padding: int, fill: float) -> Array:
    """A view of all size x size patches: (batch, out height, out width, size, size, channels)."""
    if padding:
        edge = (padding, padding)
        x = np.pad(x, ((0, 0), edge, edge, (0, 0)), constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    return view[:, ::stride, ::stride].transpose(0, 1, 2, 4, 5, 3)


def patches_backward(dpatches: Array, shape: tuple[int, ...], stride: int, padding: int) -> Array:
    """The gradient by the image of `shape`: each pixel sums what the patches that hold it pass back."""
    _, out_height, out_width, size, _, _ = dpatches.shape
    batch, height, width, channels = shape
    padded = np.zeros((batch, height + 2 * padding, width + 2 * padding, channels), dpatches.dtype)
    for row in range(size):
        for column in range(size):
            rows = slice(row, row + stride * out_height, stride)
            columns = slice(column, column + stride * out_width, stride)
            padded[:, rows, columns] += dpatches[:, :, :, row, column]
    return padded[:, padding : padding + height, padding : padding + width]


class Conv2D(Module):
    """A matrix product of patches and kernel, one per group of channels.

    Within a group, a row of the left matrix is one patch (size * size * in / groups), and the kernel is a matrix
    (size * size * in / groups, features / groups).
    """

    def __init__(self, kernel: Variable, bias: Variable | None, stride: int, padding: int, groups: int) -> None:
        self.kernel, self.bias = kernel, bias
        self.stride, self.padding, self.groups = stride, padding, groups

    def _matrix(self) -> Array:
        """The kernel as (groups, patch, features / groups)."""
        *patch, features = self.kernel.shape
        split = self.kernel.value.reshape(int(np.prod(patch)), self.groups, features // self.groups)
        return split.swapaxes(0, 1)

    def forward(self, x: Array, mode: Mode) -> Array:
        self.shape = x.shape
        view = patches(x, self.kernel.shape[0], self.stride, self.padding, 0.0)
        *self.view_shape, channels = view.shape
        batch, height, width = view.shape[:3]
        grouped = view.reshape(*self.view_shape, self.groups, channels // self.groups)
        rows = np.moveaxis(grouped, -2, 0)
        self.rows = rows.reshape(self.groups, batch * height * width, -1)
        y = np.moveaxis(self.rows @ self._matrix(), 0, 1).reshape(batch, height, width, -1)
        return y if self.bias is None else y + self.bias.value

    def backward(self, dy: Array) -> Array:
        """Per group as in Dense: dkernel = rows^T dy and drows = dy kernel^T; then each patch back to its place."""
        if self.bias is not None:
            self.bias.grad = dy.sum((0, 1, 2))
        grouped = dy.reshape(-1, self.groups, dy.shape[-1] // self.groups).swapaxes(0, 1)
        dmatrix = self.rows.swapaxes(1, 2) @ grouped
        self.kernel.grad = dmatrix.swapaxes(0, 1).reshape(self.kernel.shape)
        drows = grouped @ self._matrix().swapaxes(1, 2)
        dview = np.moveaxis(drows.reshape(self.groups, *self.view_shape, -1), 0, -2)
        return patches_backward(dview.reshape(*self.view_shape, self.shape[-1]), self.shape, self.stride, self.padding)


class MaxPool2D(Module):
    """The maximum of each patch; its gradient goes to the first element that attains it."""

    def __init__(self, window: int, stride: int, padding: int) -> None:
        self.window, self.stride, self.padding = window, stride, padding

    def forward(self, x: Array, mode: Mode) -> Array:
        self.shape = x.shape
        view = patches(x, self.window, self.stride, self.padding, -np.inf)
        self.view_shape = view.shape
        candidates = view.reshape(*view.shape[:3], -1, view.shape[-1])
        self.chosen = candidates.argmax(3, keepdims=True)
        return np.take_along_axis(candidates, self.chosen, 3)[:, :, :, 0]

    def backward(self, dy: Array) -> Array:
        dcandidates = np.zeros((*dy.shape[:3], self.window**2, dy.shape[3]), dy.dtype)
        np.put_along_axis(dcandidates, self.chosen, dy[:, :, :, None], 3)
        return patches_backward(dcandidates.reshape(self.view_shape), self.shape, self.stride, self.padding)


class GlobalAveragePool2D(Module):
    """The mean over all pixels, which share its gradient equally."""

    def forward(self, x: Array, mode: Mode) -> Array:
        self.shape = x.shape
        y: Array = x.mean((1, 2))
        return y

    def backward(self, dy: Array) -> Array:
        pixels = self.shape[1] * self.shape[2]
        return np.broadcast_to((dy / pixels)[:, None, None], self.shape)


class Tokens(Module):
    """(batch, height, width, channels) to (batch, height * width, channels)."""

    def forward(self, x: Array, mode: Mode) -> Array:
        self.shape = x.shape
        return x.reshape(x.shape[0], -1, x.shape[3])

    def backward(self, dy: Array) -> Array:
        return dy.reshape(self.shape)
