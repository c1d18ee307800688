"""The ratio of speeds of two runs, whose blocks are no pairs: they shared no state of the machine (Welch 1947)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from attrs import frozen

from mlbench_core.stats.ratio import Ratio
from mlbench_core.stats.student import both_tails, half_width, quantile
from mlbench_core.stats.verdict import EQUIVALENCE, MOST_BLOCKS, Verdict
from mlbench_core.thresholds import Compare


@frozen(kw_only=True)
class Difference:
    """Mean of the new logarithms minus that of the base ones. error: its standard error; freedom: Welch and Satterthwaite's
    degrees of freedom. Both None where a side has a single value."""

    mean: float
    error: float | None
    freedom: float | None
    base: int
    new: int

    def half(self, confidence: float) -> float | None:
        """Half the width of the interval of that confidence."""
        if self.error is None or self.freedom is None:
            return None
        return half_width(confidence, self.freedom) * self.error

    def p(self) -> float | None:
        """Two-sided p of "no difference"."""
        if self.error is None or self.freedom is None:
            return None
        if self.error == 0:
            return 1.0 if self.mean == 0 else 0.0
        return both_tails(self.mean / self.error, self.freedom)


def difference(base: Sequence[float], new: Sequence[float]) -> Difference:
    """Of the logarithms of speeds, one per block or per run. Raises ValueError if a side has none."""
    if not base or not new:
        raise ValueError("a difference takes at least one value on each side")
    mean = fmean(new) - fmean(base)
    if min(len(base), len(new)) < 2:
        return Difference(mean=mean, error=None, freedom=None, base=len(base), new=len(new))
    parts = [_variance(side) / len(side) for side in (base, new)]
    total = sum(parts)
    # Two sides without any scatter: their difference is known, with the fewest degrees that there could be.
    freedom = (
        total**2 / sum(part**2 / (len(side) - 1) for part, side in zip(parts, (base, new), strict=True))
        if total > 0
        else float(min(len(base), len(new)) - 1)
    )
    return Difference(mean=mean, error=math.sqrt(total), freedom=freedom, base=len(base), new=len(new))


def _variance(values: Sequence[float]) -> float:
    """As `statistics.variance`, whose exact fractions take twenty times as long; exactly 0 for values that are all the same."""
    if min(values) == max(values):
        return 0.0
    mean = fmean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def as_ratio(found: Difference, confidence: float) -> Ratio:
    """The new speed over the base's, with its interval; `blocks` is the smaller side's."""
    half = found.half(confidence)
    return Ratio(
        value=math.exp(found.mean),
        blocks=min(found.base, found.new),
        low=None if half is None else math.exp(found.mean - half),
        high=None if half is None else math.exp(found.mean + half),
        p=found.p(),
        deviation=None if found.error is None else found.error * math.sqrt(min(found.base, found.new)),
    )


def welch_verdict(found: Difference, adjusted_p: float | None, compare: Compare) -> Verdict:
    """By the rules of `stats.verdict`: faster or slower by Holm's adjusted p and at least `delta`; equivalent if the 90 %
    interval lies within it; else inconclusive."""
    half = found.half(EQUIVALENCE)
    if adjusted_p is None or half is None:
        return "inconclusive"
    margin = math.log1p(compare.delta)
    if adjusted_p <= compare.alpha and abs(found.mean) >= margin:
        return "faster" if found.mean > 0 else "slower"
    return "equivalent" if abs(found.mean) + half < margin else "inconclusive"


def blocks_needed(found: Difference, tests: int, compare: Compare) -> int | None:
    """Blocks on each side until the verdict should be clear, if mean and scatter stay as they are; None: it cannot be told, or
    more than 1,000. tests: how many p-values Holm adjusts; its first and strictest factor is used."""
    if found.error is None or found.error == 0:
        return None
    margin = math.log1p(compare.delta)
    if abs(found.mean) >= margin:
        confidence, room = 1 - compare.alpha / max(1, tests), abs(found.mean)
    else:
        confidence, room = EQUIVALENCE, margin - abs(found.mean)
    scatter = found.error * math.sqrt(2 / (1 / found.base + 1 / found.new))  # of one block's logarithm, roughly
    low, high = 2, MOST_BLOCKS + 1
    while low < high:
        middle = (low + high) // 2
        half = quantile(confidence, 2 * middle - 1) * scatter * math.sqrt(2 / middle)
        low, high = (low, middle) if half < room else (middle + 1, high)
    return low if low <= MOST_BLOCKS else None
