"""When a process counts as steady: pyperf's rule, on two neighbouring windows of values.

The bounds are those of pyperf's `test_calibrate_warmups` (psf/pyperf, _worker.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median

import numpy as np

MEAN_LOWEST, MEAN_HIGHEST = -0.5, 0.1
QUARTILES, DEVIATION = 0.05, 0.10
QUIET = 0.01
"""Below this share of the median the deviations are the clock's and the scheduler's, and need not agree (own; pyperf has no
such exception, and a process that is steady to 0.1 % can fail its rule for long)."""


def steady(first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether two windows of values are at one level (see `level`) and their median absolute deviations agree within 10 %, or
    are both negligible."""
    one, two = _deviation(first), _deviation(second)
    quiet = max(one, two) <= QUIET * median(second)
    return level(first, second) and (quiet or abs(one - two) <= DEVIATION * two)


def level(first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether two windows of values are at one level.

    The very first value is no outlier of all others (above Q3 + 1.5 IQR); the first mean is at most 10 % above and 50 % below
    the second; quartiles agree within 5 %.
    """
    q1, q3 = np.quantile([*first[1:], *second], [0.25, 0.75])
    if first[0] > q3 + 1.5 * (q3 - q1):
        return False
    if not MEAN_LOWEST <= fmean(first) / fmean(second) - 1 <= MEAN_HIGHEST:
        return False
    quartiles = np.quantile(first, [0.25, 0.75]) / np.quantile(second, [0.25, 0.75])
    return bool(np.max(np.abs(quartiles - 1)) <= QUARTILES)


def steady_somewhere(values: Sequence[float], window: int) -> bool:
    """Whether any two neighbouring windows of the values are at one level; False for fewer than four values.

    Deviations are not asked to agree: of 20 values they scatter by a quarter, so among the few windows of one process's
    measured values a pair that agrees within 10 % is often missing though nothing is wrong.
    """
    if window < 2:
        return False
    starts = range(len(values) - 2 * window + 1)
    return any(level(values[i : i + window], values[i + window : i + 2 * window]) for i in starts)


def _deviation(values: Sequence[float]) -> float:
    middle = median(values)
    return median(abs(value - middle) for value in values)
