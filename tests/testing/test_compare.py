"""The kit's measures of difference, on values whose answer is known."""

import math

import numpy as np
import pytest

from mlbench_core.verify.compare import FLOOR, largest, relative_error, same_bits, table_errors, worst


def test_largest() -> None:
    assert largest(np.array([[1.0, -3.0], [2.0, 0.0]])) == 3
    assert largest([]) == 0


@pytest.mark.parametrize(
    ("found", "expected", "error"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 2.5], [1.0, -4.0], 6.5 / 4),
        ([0.001, 100.0], [0.002, 100.0], 1e-5),  # relative to the largest, not element by element
        ([0.5], [0.0], 0.5),  # nothing to be relative to
        ([], [], 0.0),
        (2.0, 4.0, 0.5),
        ([1.0], [1.0, 1.0], math.inf),
        ([[1.0, 2.0]], [1.0, 2.0], math.inf),
        ([math.nan], [1.0], math.inf),
        ([math.nan], [math.nan], math.inf),
        ([math.inf], [math.inf], math.inf),
    ],
)
def test_relative_error(found: object, expected: object, error: float) -> None:
    assert relative_error(found, expected) == pytest.approx(error)


def test_relative_error_widens_float32_before_it_subtracts() -> None:
    assert relative_error(np.float32([1]), np.float64([1 + 1e-9])) == pytest.approx(1e-9, rel=1e-6)


def test_table_errors_are_measured_per_array_down_to_a_floor() -> None:
    expected = {"large": np.array([1000.0]), "middle": np.array([10.0]), "zero": np.array([1e-15])}
    found = {"large": np.array([1001.0]), "middle": np.array([11.0]), "zero": np.array([-1e-15])}
    errors = table_errors(found, expected)
    assert errors["large"] == pytest.approx(1e-3)
    assert errors["middle"] == pytest.approx(0.1)
    assert errors["zero"] == pytest.approx(2e-15 / (FLOOR * 1000))
    assert worst(errors) == ("middle", pytest.approx(0.1))


def test_a_name_that_only_one_table_has_is_infinitely_wrong() -> None:
    errors = table_errors({"a": np.ones(1), "b": np.ones(1)}, {"a": np.ones(1), "c": np.ones(1)})
    assert errors == {"a": 0, "b": math.inf, "c": math.inf}
    assert table_errors({}, {}) == {}
    assert worst({}) == ("", 0.0)


def test_same_bits() -> None:
    one = np.array([1.0, math.nan])
    assert same_bits(one, one.copy())
    assert not same_bits(np.array([0.0]), np.array([-0.0]))
    assert not same_bits(np.ones(2, np.float32), np.ones(2))
    assert not same_bits(np.ones((1, 2)), np.ones((2, 1)))
    assert not same_bits(np.array([1.0]), np.nextafter([1.0], 2))
