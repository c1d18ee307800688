"""Welch's t on hand-made and simulated runs."""

import math

import numpy as np
import pytest
from scipy import stats

from mlbench_core.stats.ratio import holm
from mlbench_core.stats.welch import as_ratio, blocks_needed, difference, welch_verdict
from mlbench_core.thresholds import Compare

RULES = Compare()


def test_it_is_scipys_welch() -> None:
    rng = np.random.default_rng(0)
    base, new = list(rng.normal(0, 0.01, 8)), list(rng.normal(0.02, 0.03, 12))
    found = difference(base, new)
    expected = stats.ttest_ind(new, base, equal_var=False)
    assert found.p() == pytest.approx(expected.pvalue, rel=1e-9)
    low, high = expected.confidence_interval(0.95)
    ratio = as_ratio(found, 0.95)
    assert (ratio.low, ratio.high) == pytest.approx((math.exp(low), math.exp(high)))


def test_swapping_inverts_to_1e_12() -> None:
    base, new = [0.0, 0.01, 0.02], [0.1, 0.13]
    one, two = as_ratio(difference(base, new), 0.95), as_ratio(difference(new, base), 0.95)
    assert two.low is not None
    assert two.high is not None
    assert (one.value, one.low, one.high) == pytest.approx((1 / two.value, 1 / two.high, 1 / two.low), rel=1e-12)
    assert one.p == two.p


def test_one_value_a_side_has_no_interval_and_no_verdict() -> None:
    found = difference([0.0], [0.5, 0.6])
    assert as_ratio(found, 0.95).low is None
    assert welch_verdict(found, None, RULES) == "inconclusive"
    assert blocks_needed(found, 1, RULES) is None
    with pytest.raises(ValueError, match="at least one"):
        difference([], [1.0])


@pytest.mark.parametrize(("shift", "verdict"), [(0.1, "faster"), (-0.1, "slower"), (0.0, "equivalent")])
def test_verdicts(shift: float, verdict: str) -> None:
    rng = np.random.default_rng(1)
    found = difference(list(rng.normal(0, 0.005, 10)), list(rng.normal(shift, 0.005, 10)))
    assert welch_verdict(found, found.p(), RULES) == verdict


def test_without_scatter_the_difference_is_known() -> None:
    assert difference([0.0, 0.0], [0.0, 0.0]).p() == 1.0
    assert welch_verdict(difference([0.0, 0.0], [0.0, 0.0]), 1.0, RULES) == "equivalent"
    assert difference([0.0, 0.0], [0.1, 0.1]).p() == 0.0


def test_the_blocks_that_are_named_decide() -> None:
    rng = np.random.default_rng(2)
    few = difference(list(rng.normal(0, 0.05, 4)), list(rng.normal(0.08, 0.05, 4)))
    needed = blocks_needed(few, 1, RULES)
    assert needed is not None
    assert 4 < needed < 100


def test_fifty_cells_of_nothing_raise_an_alarm_in_at_most_one_percent_of_comparisons() -> None:
    """1,000 comparisons of 50 cells with ten blocks a side; 1 % and twice the Monte Carlo error of it."""
    rng = np.random.default_rng(3)
    alarms = 0
    for _ in range(1000):
        logs = rng.normal(0, 0.03, (50, 2, 10))
        mean = logs[:, 1].mean(1) - logs[:, 0].mean(1)
        error = np.sqrt((logs.var(2, ddof=1) / 10).sum(1))
        parts = logs.var(2, ddof=1) / 10
        freedom = parts.sum(1) ** 2 / (parts**2 / 9).sum(1)
        ps = 2 * stats.t.sf(np.abs(mean / error), freedom)
        adjusted = holm(list(ps))
        alarms += any(
            p <= RULES.alpha and abs(m) >= math.log1p(RULES.delta) for p, m in zip(adjusted, mean, strict=True)
        )
    assert alarms <= 1000 * (0.01 + 2 * math.sqrt(0.01 * 0.99 / 1000))
