"""Ratios, verdicts and percentiles: known answers, and what must hold for any data."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mlbench_core.stats.percentiles import MINIMUM_QUERIES, percentile
from mlbench_core.stats.ratio import Ratio, holm, log_ratio, ratio, sign_flip
from mlbench_core.stats.time_to import crossover, time_to
from mlbench_core.stats.verdict import blocks_needed, verdict
from mlbench_core.thresholds import Compare
from mlbench_core.worker.steadiness import steady, steady_somewhere

COMPARE = Compare()
SECONDS = st.floats(1e-6, 1e3)
BLOCKS = st.integers(2, 12).flatmap(
    lambda n: st.tuples(st.lists(SECONDS, min_size=n, max_size=n), st.lists(SECONDS, min_size=n, max_size=n))
)


def test_a_known_interval() -> None:
    # Log-ratios 0.1, 0.2, 0.3: mean 0.2, deviation 0.1, t(2) at 97.5 % is 4.302653.
    r = ratio([0.1, 0.2, 0.3], 0.95)
    half = 4.302653 * 0.1 / math.sqrt(3)
    assert r.value == pytest.approx(math.exp(0.2))
    assert (r.low, r.high) == pytest.approx((math.exp(0.2 - half), math.exp(0.2 + half)))
    assert r.p == pytest.approx(stats.ttest_1samp([0.1, 0.2, 0.3], 0).pvalue)
    assert r.half_width == pytest.approx(math.exp(half) - 1)


def test_one_block_has_no_interval() -> None:
    r = ratio([log_ratio([[2.0]], [[1.0]])], 0.95)
    assert (r.value, r.low, r.p, r.half_width) == (0.5, None, None, None)
    assert verdict(r, None, COMPARE) == "inconclusive"
    assert blocks_needed(r, 1, COMPARE) is None


def test_a_ratio_takes_blocks_and_a_block_takes_turns() -> None:
    with pytest.raises(ValueError, match="at least one block"):
        ratio([], 0.95)
    for nothing in ([], [[]]):
        with pytest.raises(ValueError, match="no two values"):
            log_ratio([[1.0]], nothing)


def test_a_block_is_the_median_of_the_pairs_in_its_turns() -> None:
    # b takes twice as long. The machine is slow for both in turn 2, and for a alone in turn 3; b has no fourth.
    a = [[1.0, 1.1, 1.0, 1.0], [3.0, 3.0, 3.3], [9.0, 1.0, 9.0], [50.0] * 9]
    b = [[2.0, 2.0, 2.9], [6.0, 6.0, 6.0, 70.0], [2.0, 2.0, 2.0]]
    assert log_ratio(a, b) == pytest.approx(math.log(2))


def test_one_value_each_is_their_ratio() -> None:
    assert log_ratio([[2.0]], [[6.5]]) == pytest.approx(math.log(6.5 / 2))


def blocks_of(seconds: tuple[list[float], list[float]]) -> list[float]:
    """A log-ratio per block, whose two processes have one turn of one value each."""
    return [log_ratio([[a]], [[b]]) for a, b in zip(*seconds, strict=True)]


@given(BLOCKS)
def test_swapping_inverts_the_ratio_and_the_verdict(blocks: tuple[list[float], list[float]]) -> None:
    a, b = blocks
    one, two = ratio(blocks_of((a, b)), 0.95), ratio(blocks_of((b, a)), 0.95)
    assert one.value == pytest.approx(1 / two.value)
    assert one.low == pytest.approx(1 / two.high)
    assert one.p == pytest.approx(two.p)
    opposite = {"faster": "slower", "slower": "faster"}
    first, second = verdict(one, one.p, COMPARE), verdict(two, two.p, COMPARE)
    assert second == opposite.get(first, first)


@given(BLOCKS, st.floats(1e-3, 1e3))
def test_the_unit_of_time_does_not_matter(blocks: tuple[list[float], list[float]], unit: float) -> None:
    a, b = blocks
    scaled = ratio(blocks_of(([unit * x for x in a], [unit * x for x in b])), 0.95)
    assert scaled.value == pytest.approx(ratio(blocks_of(blocks), 0.95).value)


def test_the_sign_flip_counts_all_ways() -> None:
    # Six blocks all in a's favour: 2 of 64 ways are as extreme.
    logs = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06]
    assert sign_flip(logs) == pytest.approx(2 / 64)
    assert sign_flip(logs[:5]) is None


def test_holm() -> None:
    # Holm 1979: the smallest p times 3, the next times 2, the last as it is; never below one before it.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def made(mean: float, deviation: float, blocks: int) -> Ratio:
    """A ratio from exactly this mean and deviation of log-ratios."""
    shape = np.linspace(-1, 1, blocks)
    return ratio(mean + deviation * (shape - shape.mean()) / shape.std(ddof=1), 0.95)


@pytest.mark.parametrize(
    ("mean", "deviation", "blocks", "expected"),
    [
        (0.10, 0.02, 10, "faster"),
        (-0.10, 0.02, 10, "slower"),
        (0.0, 0.01, 10, "equivalent"),
        (0.015, 0.001, 10, "equivalent"),  # certain, and too small to matter
        (0.0, 0.05, 10, "inconclusive"),
        (0.10, 0.20, 10, "inconclusive"),
        (0.019, 0.01, 10, "inconclusive"),  # on the edge of mattering
    ],
)
def test_verdicts(mean: float, deviation: float, blocks: int, expected: str) -> None:
    r = made(mean, deviation, blocks)
    assert verdict(r, r.p, COMPARE) == expected


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 0.05), (0.10, 0.20), (0.01, 0.03), (0.03, 0.05)])
def test_the_blocks_needed_are_enough_and_no_more(mean: float, deviation: float) -> None:
    r = made(mean, deviation, 10)
    assert verdict(r, r.p, COMPARE) == "inconclusive"
    needed = blocks_needed(r, 1, COMPARE)
    assert needed is not None
    enough, fewer = made(mean, deviation, needed), made(mean, deviation, needed - 1)
    assert verdict(enough, enough.p, COMPARE) != "inconclusive"
    assert verdict(fewer, fewer.p, COMPARE) == "inconclusive"


def test_blocks_that_nobody_would_run_are_not_named() -> None:
    assert blocks_needed(made(0.0, 5.0, 10), 1, COMPARE) is None


@pytest.mark.parametrize("p", MINIMUM_QUERIES)
def test_percentiles_need_their_queries(p: float) -> None:
    values = list(np.random.default_rng(0).exponential(size=MINIMUM_QUERIES[p]))
    assert percentile(values[1:], p) is None
    found = percentile(values, p)
    assert found is not None
    assert found.low <= found.value <= found.high
    assert found.value == pytest.approx(np.percentile(values, p))


@pytest.mark.parametrize(("p", "n"), [(50.0, 11), (50.0, 1000), (95.0, 1000), (99.0, 1000)])
def test_percentile_intervals_cover(p: float, n: int) -> None:
    """At least 95 % minus what 2,000 simulations leave open (three standard errors, 1.5 %); order statistics cover a bit
    more."""
    generator, truth = np.random.default_rng(1), -math.log(1 - p / 100)
    found = [percentile(list(generator.exponential(size=n)), p) for _ in range(2000)]
    assert np.mean([f is not None and f.low <= truth <= f.high for f in found]) > 0.935


def test_time_to_and_crossover() -> None:
    # Compiled: 10 s and then 1 s a step. Eager: 2 s at once and every time. After 9 steps: 18 and 18 s.
    assert time_to(9, 10, 1) == time_to(9, 2, 2) == 18
    assert crossover(10, 1, 2, 2) == crossover(2, 2, 10, 1) == 9
    assert crossover(1, 1, 2, 2) is None
    assert crossover(1, 1, 1, 2) is None


@given(st.floats(0.1, 100), st.floats(1e-3, 1), st.floats(0.1, 100), st.floats(1e-3, 1))
def test_the_crossover_is_the_first_step_of_being_ahead(f1: float, s1: float, f2: float, s2: float) -> None:
    n = crossover(f1, s1, f2, s2)
    if n is None or n > 10**6:
        return
    late, early = ((f1, s1), (f2, s2)) if f1 > f2 else ((f2, s2), (f1, s1))
    # 1e-9: the two times are sums of up to a million steps in floating point.
    assert time_to(n, *late) <= time_to(n, *early) * (1 + 1e-9)
    assert time_to(n - 1, *late) >= time_to(n - 1, *early) * (1 - 1e-9)


def test_steadiness() -> None:
    generator = np.random.default_rng(0)
    calm = list(generator.normal(1, 0.003, 40))
    assert steady(calm[:20], calm[20:])
    assert not steady([2.0, *calm[1:20]], calm[20:])  # the first is an outlier
    assert not steady(calm[:20], [1.2 * value for value in calm[20:]])  # another level
    noisy = list(generator.normal(1, 0.04, 20))
    assert not steady([1 + 2 * (value - 1) for value in noisy], noisy)  # another spread
    assert not steady_somewhere(list(1.02 ** np.arange(100)), 20)
    assert steady_somewhere([*(1.1 ** np.arange(10, 0, -1)), *calm], 20)
    assert not steady_somewhere([1.0, 1.0], 1)


def test_a_steady_process_is_not_called_unsteady_for_the_scatter_of_its_deviations() -> None:
    """Forty steady values with 3 % of noise: the level is found in nearly all of 300 processes, equal deviations in far
    fewer."""
    generator = np.random.default_rng(6)
    found = [list(generator.normal(1, 0.03, 45)) for _ in range(300)]
    assert np.mean([steady_somewhere(values, 20) for values in found]) > 0.98
    assert np.mean([steady(values[:20], values[20:40]) for values in found]) < 0.5
