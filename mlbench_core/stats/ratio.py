"""The interval on a ratio of speeds, from blocks: one number per process, never pooled values.

Values inside a process are correlated and processes differ, so the process is the unit: a block holds one process of each arm,
and the ratio's logarithm is averaged over blocks. With few blocks that is Student's t; no bootstrap (a percentile bootstrap of
5 blocks is wrong 17 % of the time).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from statistics import median

import numpy as np
import numpy.typing as npt
from attrs import evolve, frozen

from mlbench_core.stats.estimate import exp
from mlbench_core.stats.student import quantile, tails

Seconds = Sequence[float] | npt.NDArray[np.float64]
LogRatios = Sequence[float] | npt.NDArray[np.float64]
"""One per block: log(a's speed / b's speed)."""

SIGN_FLIP_BLOCKS = 6
"""Fewer blocks than this have fewer than 64 ways to flip signs, and no p below 0.05 is possible."""
RESAMPLES = 9999
"""More ways than this (from 14 blocks on) are sampled, with a fixed seed."""


@frozen(kw_only=True)
class Ratio:
    """A ratio of speeds, a's over b's: above 1, a is faster.

    value: exp of the mean log-ratio. low, high: its interval. p: two-sided, of "the ratio is 1". deviation: of the blocks'
    log-ratios. With one block all but `value` and `blocks` are None.
    """

    value: float
    blocks: int
    low: float | None = None
    high: float | None = None
    p: float | None = None
    deviation: float | None = None

    @property
    def half_width(self) -> float | None:
        """Half the interval's width, as a share: 0.01 is +-1 %."""
        return None if self.low is None or self.high is None else math.sqrt(self.high / self.low) - 1

    def inverse(self) -> Ratio:
        """b's over a's."""
        low = None if self.high is None else 1 / self.high
        high = None if self.low is None else 1 / self.low
        return evolve(self, value=1 / self.value, low=low, high=high)


def log_ratio(turns_a: Sequence[Seconds], turns_b: Sequence[Seconds]) -> float:
    """The logarithm of a's speed over b's in one block, from the values in each turn of the two processes.

    Turn i of a was next to turn i of b, so their values pair up, the first with the first; the block's ratio is the median over
    all pairs. What the machine did to both, or in some of the turns, does not count. With one value each it is their ratio.
    What only one has is left out. Raises ValueError if there is no pair.
    """
    turns = zip(turns_a, turns_b, strict=False)
    pairs = [pair for turn_a, turn_b in turns for pair in zip(turn_a, turn_b, strict=False)]
    if not pairs:
        raise ValueError("no two values make a pair")
    return median(math.log(b / a) for a, b in pairs)


def ratio(log_ratios: LogRatios, confidence: float) -> Ratio:
    """The ratio of a's speed to b's, from the log-ratios of the blocks.

    Interval: exp(mean +- t(blocks - 1) * deviation / sqrt(blocks)). Raises ValueError without a block.
    """
    logs = np.asarray(log_ratios, float)
    if not len(logs):
        raise ValueError("a ratio takes at least one block")
    mean, blocks = float(np.mean(logs)), len(logs)
    if blocks < 2:
        return Ratio(value=exp(mean), blocks=blocks)
    deviation = float(np.std(logs, ddof=1))
    error = deviation / math.sqrt(blocks)
    half = quantile(confidence, blocks) * error
    return Ratio(
        value=exp(mean),
        blocks=blocks,
        low=exp(mean - half),
        high=exp(mean + half),
        p=t_test(mean, error, blocks),
        deviation=deviation,
    )


def t_test(mean: float, error: float, blocks: int) -> float:
    """Two-sided p of a mean of 0, Student's t with blocks - 1 degrees of freedom."""
    if error == 0:
        return 0.0 if mean else 1.0
    return tails(mean / error, blocks)


def sign_flip(log_ratios: LogRatios) -> float | None:
    """Two-sided p of the permutation test that flips each block's sign, which needs no normal distribution: how often the mean
    log-ratio is as far from 0 if a and b are alike. None below 6 blocks."""
    logs = np.asarray(log_ratios, float)
    if len(logs) < SIGN_FLIP_BLOCKS:
        return None
    flips = _flips(len(logs))
    # Sums that differ by rounding alone are alike: the observed one must count itself.
    as_far = int(np.sum(np.abs(flips @ logs) >= abs(logs.sum()) * (1 - 1e-12)))
    return as_far / len(flips) if len(flips) < RESAMPLES else (as_far + 1) / (len(flips) + 1)


@cache
def _flips(blocks: int) -> npt.NDArray[np.float64]:
    """Ways to flip the blocks' signs, (ways, blocks): all if they are not more than RESAMPLES, else so many at random.

    The first sign of all stays: a sum and its negative are as far from 0.
    """
    if 2**blocks <= RESAMPLES:
        numbers = np.arange(2 ** (blocks - 1))
        return np.where(numbers[:, None] >> np.arange(blocks) & 1, -1.0, 1.0)
    return np.random.default_rng(0).choice([-1.0, 1.0], (RESAMPLES, blocks))


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: the chance of any false alarm among all stays below alpha."""
    order = sorted(range(len(ps)), key=lambda place: ps[place])
    adjusted, highest = [0.0] * len(ps), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = highest
    return adjusted
