"""Percentiles of latency, printed only when there are enough queries to know them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen

MINIMUM_QUERIES = {50.0: 11, 90.0: 64, 95.0: 130, 99.0: 662, 99.9: 6636}
"""Queries needed before a percentile is reported: MLPerf LoadGen's early-stopping estimate at 99 % confidence
(mlcommons/inference, loadgen's early_stopping.cc)."""
TOO_SMALL = "n too small"
"""What is printed instead."""


@frozen
class Percentile:
    """A percentile and its interval, in the unit of the values."""

    value: float
    low: float
    high: float


def percentile(values: Sequence[float], p: float, confidence: float = 0.95) -> Percentile | None:
    """The p-th percentile, linearly interpolated, with its interval; None if there are too few values for it.

    The interval needs no distribution: the number of values below the true percentile is binomial, so it runs between the
    order statistics at that binomial's quantiles (Hahn & Meeker, Statistical Intervals, 5.2); where the upper one would lie
    beyond the last value it ends there. p: one of MINIMUM_QUERIES.
    """
    from scipy import stats  # takes a third of a second: only who computes pays

    n = len(values)
    if n < MINIMUM_QUERIES[p]:
        return None
    ordered = np.sort(np.asarray(values, float))
    tail = (1 - confidence) / 2
    low = int(stats.binom.ppf(tail, n, p / 100))
    high = int(stats.binom.ppf(1 - tail, n, p / 100)) + 1
    return Percentile(
        value=float(np.percentile(ordered, p)),
        low=float(ordered[max(low - 1, 0)]),
        high=float(ordered[min(high - 1, n - 1)]),
    )
