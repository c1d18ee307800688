"""How far two arrays, or two tables of weights, are apart. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

FLOOR = 1e-3
"""A table's array is measured against its own largest element, but never against less than this share of the table's.

Some gradients are zero in exact arithmetic (a key's bias in attention shifts all scores of a row alike), so what is
computed for them is rounding noise, about 1e-16 of the others; measured against itself it would differ by 100 %.
"""


def largest(array: npt.ArrayLike) -> float:
    """The largest absolute value; 0 for an empty array, nan if any element is nan."""
    return float(np.max(np.abs(np.asarray(array, np.float64)), initial=0.0))


def relative_error(found: npt.ArrayLike, expected: npt.ArrayLike, scale: float | None = None) -> float:
    """max|found - expected| / scale, `scale` being max|expected| unless given; absolute if the scale is 0.

    inf where the shapes differ or anything is not finite.
    """
    a, b = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return math.inf
    return largest(a - b) / ((largest(b) if scale is None else scale) or 1.0)


def table_errors(found: Mapping[str, npt.NDArray[Any]], expected: Mapping[str, npt.NDArray[Any]]) -> dict[str, float]:
    """The relative error per name, see FLOOR; inf for a name that only one of the tables has."""
    top = max((largest(value) for value in expected.values()), default=0.0)
    errors = {}
    for name in sorted(set(found) | set(expected)):
        if name in found and name in expected:
            scale = max(largest(expected[name]), FLOOR * top)
            errors[name] = relative_error(found[name], expected[name], scale)
        else:
            errors[name] = math.inf
    return errors


def worst(errors: Mapping[str, float]) -> tuple[str, float]:
    """The name with the largest error, and the error; ("", 0.0) for an empty table."""
    return max(errors.items(), key=lambda item: item[1], default=("", 0.0))


def same_bits(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> bool:
    """Whether type, shape and every bit agree; -0.0 is not 0.0, and a nan equals itself."""
    return found.dtype == expected.dtype and found.shape == expected.shape and found.tobytes() == expected.tobytes()
