"""The shape of one process's values: spread, drift, two modes. Pure functions of seconds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np

from mlbench_core.stats.order import quantile

FEWEST = 8
"""Fewer values show no trend."""
PERVASIVE, CERTAIN = 0.5, 1e-3
"""Bounds of Kendall's tau, and of its p, beyond which a trend is one (own)."""
FEW_PAIRS = 200
"""So many values have few enough pairs to look at all of them at once."""
FEWEST_FOR_MODES = 20
"""Fewer values fall into two clusters by chance: 10 normal ones 7 % of the time, 30 in 0.1 %."""


def spread(values: Sequence[float]) -> float:
    """Interquartile range over median."""
    ordered = sorted(values)
    return (quantile(ordered, 0.75) - quantile(ordered, 0.25)) / quantile(ordered, 0.5)


def outliers(values: Sequence[float]) -> int:
    """Values further than 1.5 interquartile ranges outside the quartiles (Tukey); counted, never dropped."""
    ordered = sorted(values)
    low, high = quantile(ordered, 0.25), quantile(ordered, 0.75)
    reach = 1.5 * (high - low)
    return sum(not low - reach <= value <= high + reach for value in ordered)


def drift(values: Sequence[float]) -> float:
    """Change from the first value to the last, as a share of the median, along the Theil-Sen line.

    0 unless the trend is pervasive and certain: Kendall's tau above 0.5 in size and its p below 0.001.
    """
    if len(values) < FEWEST:
        return 0.0
    if len(values) <= FEW_PAIRS and abs(_tau(values)) <= PERVASIVE:
        return 0.0  # nearly always; SciPy's test with its p takes ten times as long
    from scipy import stats  # takes two thirds of a second: only who computes pays

    places = np.arange(len(values))
    tau = stats.kendalltau(places, values)
    if not (abs(tau.statistic) > PERVASIVE and tau.pvalue < CERTAIN):
        return 0.0
    slope = stats.theilslopes(values, places).slope
    return float(slope * (len(values) - 1) / np.median(values))


def _tau(values: Sequence[float]) -> float:
    """Kendall's tau-b of the values over their order, 0 if all are alike: pairs that rise minus pairs that fall, of all."""
    array = np.asarray(values, float)
    signs = np.sign(array[None, :] - array[:, None])[np.triu_indices(len(array), 1)]
    apart = np.count_nonzero(signs)
    return float(signs.sum() / np.sqrt(apart * len(signs))) if apart else 0.0


def modes(values: Sequence[float]) -> tuple[float, float]:
    """(Ashman's D, distance over median) of the best split into two clusters, each of at least a fifth of the values.

    D is the distance of the clusters' means over their common standard deviation: 2.7 for a normal sample split in the middle,
    3.5 for an even spread, more where there are two modes (Ashman, Bird & Zepf 1994). (0, 0) for too few values.
    """
    ordered = np.sort(np.asarray(values, float))
    n, fewest = len(ordered), max(2, len(ordered) // 5)
    if n < FEWEST_FOR_MODES:
        return 0.0, 0.0
    middle = float(np.median(ordered))
    below = np.arange(fewest, n - fewest + 1)  # values in the lower cluster
    centred = ordered - middle  # squares of what is far from 0 would cancel
    sums, squares = np.cumsum(centred), np.cumsum(centred**2)
    low, high = sums[below - 1], sums[-1] - sums[below - 1]
    within = np.sqrt(np.maximum(squares[-1] - low**2 / below - high**2 / (n - below), 0.0) / n)
    distance = high / (n - below) - low / below
    with np.errstate(divide="ignore", invalid="ignore"):
        separation = np.where(distance > 0, distance / within, 0.0)
    best = int(np.argmax(separation))
    return float(separation[best]), float(distance[best]) / middle


def growth(sizes: Sequence[int]) -> tuple[float, float]:
    """(bytes, share of the first third's median) by which memory grew steadily; (0, 0) if it did not grow in every third.

    A cache that fills at the beginning grows in the first third alone; a leak does not stop.
    """
    if len(sizes) < FEWEST:
        return 0.0, 0.0
    thirds = [float(median(part.tolist())) for part in np.array_split(np.asarray(sizes, float), 3)]
    if not thirds[0] < thirds[1] < thirds[2]:
        return 0.0, 0.0
    if thirds[2] - thirds[1] < 0.3 * (thirds[1] - thirds[0]):
        return 0.0, 0.0
    return thirds[2] - thirds[0], (thirds[2] - thirds[0]) / thirds[0] if thirds[0] else np.inf
