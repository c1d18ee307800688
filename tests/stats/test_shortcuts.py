"""What is computed directly, because thousands of arms ask for it, is what NumPy and SciPy compute."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mlbench_core.stats.order import quantile
from mlbench_core.stats.percentiles import MINIMUM_QUERIES, _places, percentile, percentiles
from mlbench_core.stats.ratio import ratio, sign_flip
from mlbench_core.stats.shape import drift, modes
from mlbench_core.stats.student import quantile as student_quantile
from mlbench_core.stats.student import tails
from mlbench_core.stats.verdict import MOST_BLOCKS, blocks_needed
from mlbench_core.thresholds import Compare

VALUES = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=60)


@given(VALUES, st.floats(0, 1))
def test_quantiles_are_numpy_s(values: list[float], share: float) -> None:
    # Both interpolate between two neighbours; 1e-12 is what the order of three operations may change.
    assert quantile(sorted(values), share) == pytest.approx(float(np.quantile(values, share)), rel=1e-12)


@pytest.mark.parametrize("blocks", [2, 3, 10, 40, 1000])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.9983])
def test_student_s_t_is_scipy_s(blocks: int, confidence: float) -> None:
    # The same function of the same library, reached in another way.
    assert student_quantile(confidence, blocks) == pytest.approx(
        stats.t.ppf((1 + confidence) / 2, blocks - 1), rel=1e-12
    )
    for t in (-3.0, 0.0, 0.5, 20.0):
        assert tails(t, blocks) == pytest.approx(2 * stats.t.sf(abs(t), blocks - 1), rel=1e-12)


@pytest.mark.parametrize("blocks", range(6, 14))
def test_all_flips_give_scipy_s_p(blocks: int) -> None:
    logs = np.random.default_rng(blocks).normal(0.01, 0.02, blocks)
    expected = stats.permutation_test(
        (logs,), lambda x, axis: np.mean(x, axis=axis), permutation_type="samples", vectorized=True, n_resamples=9999
    )
    assert sign_flip(logs) == pytest.approx(expected.pvalue, abs=1e-12)


def test_flips_at_random_are_near_all_of_them() -> None:
    """From 14 blocks on: 0.02 is four standard errors of a share near one half of 9,999."""
    logs = np.random.default_rng(3).normal(0.003, 0.02, 16)
    signs = np.where(np.arange(2**16)[:, None] >> np.arange(16) & 1, -1.0, 1.0)
    p = sign_flip(logs)
    assert p is not None
    assert p == pytest.approx(float(np.mean(np.abs(signs @ logs) >= abs(logs.sum()) * (1 - 1e-12))), abs=0.02)
    assert sign_flip(logs) == p


def test_no_difference_at_all_is_no_evidence() -> None:
    assert sign_flip([0.0] * 8) == 1.0


def split(values: list[float]) -> float:
    """Ashman's D of the best split, each cluster's mean and variance as they are written in the paper."""
    ordered = np.sort(values)
    fewest, best = max(2, len(ordered) // 5), 0.0
    for cut in range(fewest, len(ordered) - fewest + 1):
        low, high = ordered[:cut], ordered[cut:]
        within = np.sqrt((low.var() * len(low) + high.var() * len(high)) / len(ordered))
        best = max(best, float((high.mean() - low.mean()) / within))
    return best


@pytest.mark.parametrize("seed", range(20))
def test_modes_are_those_of_every_split(seed: int) -> None:
    generator = np.random.default_rng(seed)
    values = generator.normal(1, 0.01, int(generator.integers(20, 200)))
    values = np.where(generator.random(len(values)) < 0.4, values, values * (1 + 0.05 * (seed % 3)))
    # 1e-6: sums of squares instead of squares of differences, at a spread of a hundredth of the values.
    assert modes(list(values))[0] == pytest.approx(split(list(values)), rel=1e-6)


def test_values_all_alike_have_no_modes() -> None:
    assert modes([0.1] * 30) == (0.0, 0.0)
    separation, distance = modes([1.0] * 15 + [1.2] * 15)
    assert separation > 1e3
    assert distance == pytest.approx(0.2 / 1.1)


@pytest.mark.parametrize("count", [30, 199, 201, 250])
@pytest.mark.parametrize("slope", [0.0, 0.02, 0.2])
def test_drift_is_there_where_kendall_s_tau_says_so(count: int, slope: float) -> None:
    generator = np.random.default_rng(count)
    values = list(generator.normal(1, 0.01, count) * np.linspace(1, 1 + slope, count))
    tau = stats.kendalltau(np.arange(count), values)
    assert (drift(values) != 0.0) == (abs(tau.statistic) > 0.5 and tau.pvalue < 1e-3)


@pytest.mark.parametrize("deviation", [0.01, 0.03, 0.1, 0.3, 5.0])
@pytest.mark.parametrize("mean", [0.0, 0.01, 0.05])
def test_the_blocks_needed_are_the_first_that_would_do(mean: float, deviation: float) -> None:
    shape = np.linspace(-1, 1, 10)
    r = ratio(mean + deviation * (shape - shape.mean()) / shape.std(ddof=1), 0.95)
    assert r.deviation is not None
    compare, m = Compare(), abs(math.log(r.value))
    margin = math.log1p(compare.delta)
    confidence, room = (1 - compare.alpha / 3, m) if m >= margin else (0.9, margin - m)
    halves = ((n, student_quantile(confidence, n) * r.deviation / math.sqrt(n)) for n in range(2, MOST_BLOCKS + 1))
    assert blocks_needed(r, 3, compare) == next((n for n, half in halves if half < room), None)


@pytest.mark.parametrize("p", MINIMUM_QUERIES)
def test_percentiles_intervals_end_at_scipy_s_binomial_quantiles(p: float) -> None:
    for n in {*range(1, 300), MINIMUM_QUERIES[p], 700, 9_999, 1_000_000}:
        low, high = stats.binom.ppf([0.025, 0.975], n, p / 100)
        assert _places(n, p) == (max(low - 1, 0), min(high, n - 1)), n


def test_percentiles_together_are_those_one_by_one() -> None:
    values = list(np.random.default_rng(0).exponential(size=700))
    ps = list(MINIMUM_QUERIES)
    assert percentiles(values, ps) == [percentile(values, p) for p in ps]
    assert percentiles([], ps) == [None] * len(ps)
