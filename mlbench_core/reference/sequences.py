"""Layers for sequences (batch, length, features): embeddings and attention."""

from __future__ import annotations

import math

import numpy as np

from mlbench_core.reference.layers import Dense
from mlbench_core.reference.module import Array, Mode, Module, Variable


class Embedding(Module):
    """y = table[x] for integer x."""

    def __init__(self, table: Variable) -> None:
        from scipy.sparse import csr_array  # takes a tenth of a second: only models that need it pay

        self.table, self.sparse = table, csr_array

    def forward(self, x: Array, mode: Mode) -> Array:
        self.x = x
        rows: Array = self.table.value[x]
        return rows

    def backward(self, dy: Array) -> Array:
        """Row i of dtable sums dy where x was i: onehot(x)^T dy, onehot being sparse. Integers have no gradient: 0."""
        ids = self.x.reshape(-1)
        ones, starts = np.ones(len(ids), dy.dtype), np.arange(len(ids) + 1)
        onehot = self.sparse((ones, ids, starts), shape=(len(ids), self.table.shape[0]))
        self.table.grad = onehot.T @ dy.reshape(len(ids), -1)
        return np.zeros(self.x.shape, dy.dtype)


class PositionEmbedding(Module):
    """y = x + table[:length]."""

    def __init__(self, table: Variable) -> None:
        self.table = table

    def forward(self, x: Array, mode: Mode) -> Array:
        return x + self.table.value[: x.shape[1]]

    def backward(self, dy: Array) -> Array:
        self.table.grad = np.zeros(self.table.shape, dy.dtype)
        self.table.grad[: dy.shape[1]] = dy.sum(0)
        return dy


class SegmentEmbedding(Module):
    """y = x + table[0]."""

    def __init__(self, table: Variable) -> None:
        self.table = table

    def forward(self, x: Array, mode: Mode) -> Array:
        return x + self.table.value[:1]

    def backward(self, dy: Array) -> Array:
        self.table.grad = np.zeros(self.table.shape, dy.dtype)
        self.table.grad[0] = dy.sum((0, 1))
        return dy


class SelectToken(Module):
    """y = x[:, index]."""

    def __init__(self, index: int) -> None:
        self.index = index

    def forward(self, x: Array, mode: Mode) -> Array:
        self.shape = x.shape
        token: Array = x[:, self.index]
        return token

    def backward(self, dy: Array) -> Array:
        dx = np.zeros(self.shape, dy.dtype)
        dx[:, self.index] = dy
        return dx


class MeanTokens(Module):
    """The mean over all positions, which share its gradient equally."""

    def forward(self, x: Array, mode: Mode) -> Array:
        self.shape = x.shape
        y: Array = x.mean(1)
        return y

    def backward(self, dy: Array) -> Array:
        return np.broadcast_to((dy / self.shape[1])[:, None], self.shape)


class SelfAttention(Module):
    """Per head softmax(q k^T / sqrt(size)) v. q, k and v are dense layers of x; output is one of the heads joined.

    causal: scores of later positions are minus infinity, so that their weights, and what these pass back, are 0.
    """

    def __init__(self, query: Dense, key: Dense, value: Dense, output: Dense, heads: int, causal: bool) -> None:
        self.query, self.key, self.value, self.output = query, key, value, output
        self.heads, self.causal = heads, causal

    def _split(self, x: Array) -> Array:
        """(batch, length, features) to (batch, heads, length, features / heads)."""
        return x.reshape(*x.shape[:2], self.heads, -1).swapaxes(1, 2)

    def _join(self, x: Array) -> Array:
        """The inverse of `_split`."""
        batch, heads, length, size = x.shape
        return x.swapaxes(1, 2).reshape(batch, length, heads * size)

    def forward(self, x: Array, mode: Mode) -> Array:
        self.q, self.k, self.v = (self._split(part.forward(x, mode)) for part in (self.query, self.key, self.value))
        self.scale = 1 / math.sqrt(self.q.shape[-1])
        scores = self.q @ self.k.swapaxes(2, 3) * self.scale
        if self.causal:
            later = np.triu(np.ones(scores.shape[-2:], bool), 1)
            scores[..., later] = -np.inf
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        self.weights = weights / weights.sum(-1, keepdims=True)
        return self.output.forward(self._join(self.weights @ self.v), mode)

    def backward(self, dy: Array) -> Array:
        """Products as in Dense: heads = w v gives dw and dv, scores = q k^T gives dq and dk. Between them the softmax w of s,
        row by row: dw_i / ds_j = w_i ([i = j] - w_j), so ds = w (dw - sum(w dw)).
        """
        dheads = self._split(self.output.backward(dy))
        dv = self.weights.swapaxes(2, 3) @ dheads
        dw = dheads @ self.v.swapaxes(2, 3)
        ds = self.weights * (dw - (self.weights * dw).sum(-1, keepdims=True)) * self.scale
        dq, dk = ds @ self.k, ds.swapaxes(2, 3) @ self.q
        parts = ((self.query, dq), (self.key, dk), (self.value, dv))
        dx = [part.backward(self._join(dpart)) for part, dpart in parts]
        return dx[0] + dx[1] + dx[2]
