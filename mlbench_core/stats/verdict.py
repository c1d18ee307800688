"""What a ratio means: faster, slower, equivalent, or not known yet."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Literal

from mlbench_core.stats.ratio import Ratio
from mlbench_core.stats.student import quantile
from mlbench_core.thresholds import Compare

Verdict = Literal["faster", "slower", "equivalent", "inconclusive", "not comparable"]

EQUIVALENCE = 0.90
"""Confidence of the interval that has to lie inside +-delta: two one-sided tests at 5 % each (TOST, Schuirmann 1987)."""
MOST_BLOCKS = 1000
"""More blocks than this are not worth naming."""


def verdict(ratio: Ratio, adjusted_p: float | None, compare: Compare) -> Verdict:
    """The verdict on a compared with b.

    faster / slower: Holm's adjusted p is at most `alpha` and the ratio differs from 1 by at least `delta`. equivalent: the 90 %
    interval lies inside 1 / (1 + delta) and 1 + delta. Else inconclusive.
    """
    if adjusted_p is None or ratio.deviation is None:
        return "inconclusive"
    mean, margin = math.log(ratio.value), math.log1p(compare.delta)
    if adjusted_p <= compare.alpha and abs(mean) >= margin:
        return "faster" if mean > 0 else "slower"
    if abs(mean) + _half(ratio.deviation, ratio.blocks, EQUIVALENCE) < margin:
        return "equivalent"
    return "inconclusive"


def blocks_needed(ratio: Ratio, comparisons: int, compare: Compare) -> int | None:
    """Blocks in all until the verdict would be clear, if ratio and deviation stay as they are.

    comparisons: how many p-values Holm adjusts; the first and strictest factor is used. None: it cannot be told (one block
    so far), or more than 1000.
    """
    if ratio.deviation is None:
        return None
    mean, margin = abs(math.log(ratio.value)), math.log1p(compare.delta)
    if mean >= margin:
        confidence, room = 1 - compare.alpha / max(1, comparisons), mean
    else:
        confidence, room = EQUIVALENCE, margin - mean
    return _blocks_for(ratio.deviation, confidence, room)


def _blocks_for(deviation: float, confidence: float, room: float) -> int | None:
    """The fewest blocks whose interval's half is below `room`; more blocks make it narrower, so they can be bisected for."""
    counts = range(2, MOST_BLOCKS + 1)
    place = bisect_left(counts, True, key=lambda n: _half(deviation, n, confidence) < room)
    return counts[place] if place < len(counts) else None


def _half(deviation: float, blocks: int, confidence: float) -> float:
    return quantile(confidence, blocks) * deviation / math.sqrt(blocks)
