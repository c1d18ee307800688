"""Percentiles of latency, printed only when there are enough queries to know them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from attrs import frozen

from mlbench_core.stats.order import quantile

MINIMUM_QUERIES = {50.0: 11, 90.0: 64, 95.0: 130, 99.0: 662, 99.9: 6636}
"""Queries needed before a percentile is reported: MLPerf LoadGen's early-stopping estimate at 99 % confidence
(mlcommons/inference, loadgen's early_stopping.cc)."""
CONFIDENCE = 0.95
"""Of a percentile's interval."""
TOO_SMALL = "n too small"
"""What is printed instead."""


@frozen
class Percentile:
    """A percentile and its interval, in the unit of the values."""

    value: float
    low: float
    high: float


def percentile(values: Sequence[float], p: float) -> Percentile | None:
    """The p-th percentile, linearly interpolated, with its 95 % interval; None if there are too few values for it.

    The interval needs no distribution: the number of values below the true percentile is binomial, so it runs between the
    order statistics at that binomial's quantiles (Hahn & Meeker, Statistical Intervals, 5.2); where the upper one would lie
    beyond the last value it ends there. p: one of MINIMUM_QUERIES.
    """
    return percentiles(values, (p,))[0]


def percentiles(values: Sequence[float], ps: Sequence[float]) -> list[Percentile | None]:
    """Several of them, in the order of `ps`; the values are sorted once."""
    ordered = sorted(values)
    return [_percentile(ordered, p) if len(ordered) >= MINIMUM_QUERIES[p] else None for p in ps]


def _percentile(ordered: Sequence[float], p: float) -> Percentile:
    low, high = _places(len(ordered), p)
    return Percentile(value=quantile(ordered, p / 100), low=ordered[low], high=ordered[high])


@cache
def _places(n: int, p: float) -> tuple[int, int]:
    """Where among n ordered values the interval of the p-th percentile begins and ends."""
    k = np.arange(1, n + 1)
    # Of each probability of the binomial over the one before. SciPy has the quantiles, and takes a fifth of a second to import.
    logs = np.append(0.0, np.cumsum(np.log((n - k + 1) / k * (p / (100 - p)))))
    chances = np.exp(logs - logs.max())
    tail = (1 - CONFIDENCE) / 2
    low, high = np.searchsorted(np.cumsum(chances) / chances.sum(), [tail, 1 - tail])
    return max(int(low) - 1, 0), min(int(high), n - 1)
