"""The simulation of many nodes, where its answer is known."""

import pytest

from benchmarks.thousand_nodes import Matrix, simulate


def test_one_node_takes_the_sum_and_as_many_as_groups_take_the_longest() -> None:
    durations = [3.0, 1.0, 2.0]
    one = simulate(durations, blocks=4, arms=2, nodes=1, driver_s=0.0)
    assert (one.wall_s, one.busy) == (24.0, 1.0)
    for nodes in (3, 100):
        many = simulate(durations, blocks=4, arms=2, nodes=nodes, driver_s=0.0)
        assert many.wall_s == many.longest_s == 12.0
        assert many.busy == pytest.approx(24 / 12 / nodes)


def test_a_slow_driver_is_the_limit() -> None:
    found = simulate([1.0] * 100, blocks=5, arms=2, nodes=100, driver_s=0.1)
    assert found.wall_s == pytest.approx(100 * 5 * 2 * 0.1 + 1.0)
    assert found.driver == pytest.approx(1.0, abs=0.02)


def test_no_number_of_nodes_beats_the_bounds() -> None:
    durations = Matrix(groups=200, arms=3, blocks=5, trial_s=10.0).durations(1)
    for nodes in (1, 7, 50, 400):
        found = simulate(durations, 5, 3, nodes, 0.001)
        assert found.wall_s >= max(found.longest_s, 5 * sum(durations) / nodes)
        assert 0 < found.busy <= 1
