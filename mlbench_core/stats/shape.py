"""The shape of one process's values: spread, drift, two modes. Pure functions of seconds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FEWEST = 8
"""Fewer values show no trend."""
FEWEST_FOR_MODES = 20
"""Fewer values fall into two clusters by chance: 10 normal ones 7 % of the time, 30 in 0.1 %."""


def spread(values: Sequence[float]) -> float:
    """Interquartile range over median."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return float((high - low) / middle)


def outliers(values: Sequence[float]) -> int:
    """Values further than 1.5 interquartile ranges outside the quartiles (Tukey); counted, never dropped."""
    low, high = np.quantile(values, [0.25, 0.75])
    reach = 1.5 * (high - low)
    return sum(not low - reach <= value <= high + reach for value in values)


def drift(values: Sequence[float]) -> float:
    """Change from the first value to the last, as a share of the median, along the Theil-Sen line.

    0 unless the trend is certain and pervasive: Kendall's tau above 0.5 in size and its p below 0.001.
    """
    from scipy import stats  # takes a third of a second: only who computes pays

    if len(values) < FEWEST:
        return 0.0
    places = np.arange(len(values))
    tau = stats.kendalltau(places, values)
    if not (abs(tau.statistic) > 0.5 and tau.pvalue < 1e-3):
        return 0.0
    slope = stats.theilslopes(values, places).slope
    return float(slope * (len(values) - 1) / np.median(values))


def modes(values: Sequence[float]) -> tuple[float, float]:
    """(Ashman's D, distance over median) of the best split into two clusters, each of at least a fifth of the values.

    D is the distance of the clusters' means over their common standard deviation: 2.7 for a normal sample split in the middle,
    3.5 for an even spread, more where there are two modes (Ashman, Bird & Zepf 1994). (0, 0) for too few values.
    """
    ordered = np.sort(np.asarray(values, float))
    n, fewest = len(ordered), max(2, len(ordered) // 5)
    if n < FEWEST_FOR_MODES:
        return 0.0, 0.0
    best = (0.0, 0.0)
    for cut in range(fewest, n - fewest + 1):
        low, high = ordered[:cut], ordered[cut:]
        within = np.sqrt((low.var() * len(low) + high.var() * len(high)) / n)
        distance = float(high.mean() - low.mean())
        separation = distance / within if within else (np.inf if distance else 0.0)
        if separation > best[0]:
            best = (float(separation), distance / float(np.median(ordered)))
    return best


def growth(sizes: Sequence[int]) -> tuple[float, float]:
    """(bytes, share of the first third's median) by which memory grew steadily; (0, 0) if it did not grow in every third.

    A cache that fills at the beginning grows in the first third alone; a leak does not stop.
    """
    if len(sizes) < FEWEST:
        return 0.0, 0.0
    thirds = [float(np.median(part)) for part in np.array_split(np.asarray(sizes, float), 3)]
    if not thirds[0] < thirds[1] < thirds[2]:
        return 0.0, 0.0
    if thirds[2] - thirds[1] < 0.3 * (thirds[1] - thirds[0]):
        return 0.0, 0.0
    return thirds[2] - thirds[0], (thirds[2] - thirds[0]) / thirds[0] if thirds[0] else np.inf
