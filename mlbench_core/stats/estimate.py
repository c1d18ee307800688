"""What a number is over the blocks of an arm, and the interval of that."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean, stdev

from attrs import frozen

from mlbench_core.stats.student import quantile

CONFIDENCE = 0.95
FURTHEST = 700.0
"""exp of a little more is no float any more."""


@frozen
class Estimate:
    """A mean over blocks with its 95 % interval, whose ends are None with one block."""

    value: float
    low: float | None = None
    high: float | None = None
    blocks: int = 1

    def words(self, show: Callable[[float], str]) -> tuple[str, str, str]:
        """The three as texts; n/a for an interval that there is not."""
        low, high = ("n/a" if end is None else show(end) for end in (self.low, self.high))
        return show(self.value), low, high


def estimate(values: Sequence[float]) -> Estimate:
    """The geometric mean of positive values, one per block; its interval is Student's t on the logarithms. Raises ValueError
    without a value."""
    logs = arithmetic([math.log(value) for value in values])
    low, high = (None if end is None else exp(end) for end in (logs.low, logs.high))
    return Estimate(exp(logs.value), low, high, logs.blocks)


def arithmetic(values: Sequence[float]) -> Estimate:
    """The arithmetic mean, for values that may be 0 such as shares and counts; its interval is Student's t. Raises ValueError
    without a value."""
    mean, blocks = fmean(values), len(values)
    if blocks < 2:
        return Estimate(mean)
    half = quantile(CONFIDENCE, blocks) * stdev(values) / math.sqrt(blocks)
    return Estimate(mean, mean - half, mean + half, blocks)


def exp(exponent: float) -> float:
    """exp, where a float ends: two blocks that have nothing to do with each other have an interval without ends."""
    return math.exp(max(-FURTHEST, min(FURTHEST, exponent)))
