"""Student's t: its quantiles and tails, from `scipy.special`, which takes a hundredth of the time of `scipy.stats`."""

from __future__ import annotations

from functools import cache


@cache
def quantile(confidence: float, blocks: int) -> float:
    """Half the width of the interval on a mean of `blocks` values, in standard errors; blocks - 1 degrees of freedom."""
    return half_width(confidence, blocks - 1)


def half_width(confidence: float, freedom: float) -> float:
    """Half the width of an interval, in standard errors, at that many degrees of freedom."""
    from scipy import special  # takes a fifth of a second: only who computes pays

    return float(special.stdtrit(freedom, (1 + confidence) / 2))


def tails(t: float, blocks: int) -> float:
    """Two-sided p of a mean that is `t` standard errors from where it should be; blocks - 1 degrees of freedom."""
    return both_tails(t, blocks - 1)


def both_tails(t: float, freedom: float) -> float:
    """Two-sided p of `t` at that many degrees of freedom."""
    from scipy import special  # takes a fifth of a second: only who computes pays

    return float(2 * special.stdtr(freedom, -abs(t)))
