"""Quantiles of a few dozen or hundred ordered values: what NumPy computes, without its cost per call."""

from __future__ import annotations

from collections.abc import Sequence


def quantile(ordered: Sequence[float], share: float) -> float:
    """The quantile below which a `share` in [0, 1] of the values lies, linearly interpolated as `numpy.quantile` does.

    ordered: at least one value, ascending.
    """
    place = share * (len(ordered) - 1)
    below = int(place)
    low, high = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    part, distance = place - below, high - low
    return low + distance * part if part < 0.5 else high - distance * (1 - part)
