"""The same batches in the same order in every framework."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlbench_core.data.dataset import Array
from mlbench_core.hookspecs import Batch


def batches(x: Array, y: Array, batch_size: int, seed: int, epoch: int) -> Iterator[Batch]:
    """One epoch in an order drawn from (seed, epoch); a partial last batch is dropped. x is (n, ...), y (n,)."""
    order = np.random.default_rng([seed, epoch]).permutation(len(y))
    for start in range(0, len(y) - batch_size + 1, batch_size):
        rows = order[start : start + batch_size]
        yield Batch(x[rows], y[rows])


def evaluation_batches(x: Array, y: Array, batch_size: int) -> Iterator[tuple[Batch, int]]:
    """All samples in order, with the number of valid rows; the last batch repeats its last row, so that no step sees another
    shape and compiles again."""
    for start in range(0, len(y), batch_size):
        rows = np.minimum(np.arange(start, start + batch_size), len(y) - 1)
        yield Batch(x[rows], y[rows]), min(batch_size, len(y) - start)
