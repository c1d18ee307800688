"""Percentiles of latency, printed only when there are enough queries to know them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MINIMUM_QUERIES = {50.0: 11, 90.0: 64, 95.0: 130, 99.0: 662, 99.9: 6636}
"""Queries needed before a percentile is reported: MLPerf LoadGen's early-stopping estimate at 99 % confidence
(mlcommons/inference, loadgen's early_stopping.cc)."""


def percentile(values: Sequence[float], p: float) -> float | None:
    """The p-th percentile in the unit of `values`, linearly interpolated; None if there are too few values for it.

    p: one of MINIMUM_QUERIES.
    """
    return float(np.percentile(values, p)) if len(values) >= MINIMUM_QUERIES[p] else None
