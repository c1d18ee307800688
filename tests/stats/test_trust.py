"""How often the verdicts are wrong, by seeded simulation: false alarms, power, coverage; and what happens without the rules."""

import numpy as np
import pytest
from scipy import stats

from mlbench_core.stats.ratio import log_ratio
from mlbench_core.stats.simulation import (
    ALONE,
    NOISES,
    Noise,
    block_log_ratios,
    coverage,
    false_alarms,
    power,
    processes,
)
from mlbench_core.thresholds import Compare

EXPERIMENTS = 1000


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.name)
def test_identical_code_gets_a_winner_in_one_of_a_hundred_at_most(noise: Noise) -> None:
    # 1 % by construction; three standard errors of 1,000 experiments are another 0.9 %.
    assert false_alarms(noise, Compare(), blocks=10, experiments=EXPERIMENTS, seed=1) <= 0.019


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.name)
def test_intervals_cover(noise: Noise) -> None:
    # 93 to 97 % is asked for; 4,000 experiments are off by 1 % at most (three standard errors).
    assert 0.93 <= coverage(noise, Compare(), blocks=10, experiments=4000, seed=2) <= 0.97


@pytest.mark.parametrize("noise", [n for n in NOISES if n.process <= 0.02], ids=lambda noise: noise.name)
def test_a_slowdown_of_5_percent_is_found(noise: Noise) -> None:
    assert power(noise, Compare(), slowdown=1.05, blocks=10, experiments=EXPERIMENTS, seed=3) >= 0.95


def test_the_simulation_compares_as_results_do() -> None:
    values = np.random.default_rng(6).lognormal(size=(5, 2, 7, 3))
    assert block_log_ratios(values) == pytest.approx([log_ratio(a, b) for a, b in values.tolist()])


def test_turns_find_what_one_process_after_the_other_cannot() -> None:
    """Why turns: on the same machine, whose neighbour comes and goes, hardly a slowdown of 5 % is found without them."""
    assert power(ALONE, Compare(), slowdown=1.05, blocks=10, experiments=EXPERIMENTS, seed=3) < 0.1
    assert (
        false_alarms(ALONE, Compare(), blocks=10, experiments=EXPERIMENTS, seed=1) <= 0.019
    )  # it is not wrong, only blind


def test_pooled_values_would_be_wrong_more_often_than_right() -> None:
    """Why the process is the unit: the t-test on pooled values, which others use, on the same simulated processes."""
    generator, wrong = np.random.default_rng(4), 0
    for _ in range(200):
        a, b = (processes(NOISES[1], 8, generator).ravel() for _ in range(2))
        wrong += stats.ttest_ind(a, b).pvalue < 0.05
    assert wrong / 200 > 0.4


def test_one_arm_after_the_other_would_mistake_drift_for_a_difference() -> None:
    """Why blocks: with 3 % drift over a run, an unpaired test of one arm after the other is nearly always wrong."""
    generator, wrong = np.random.default_rng(5), 0
    for _ in range(200):
        medians = np.exp(generator.normal(0, 0.005, 20)) * np.linspace(1, 1.03, 20)
        wrong += stats.ttest_ind(medians[:10], medians[10:]).pvalue < 0.05
    assert wrong / 200 > 0.8
