"""What a loader returned is looked at once: one line with the data set, the array, the first offender and what to do."""

from typing import Any

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from mlbench_core.data import DataRequest, register_datasets
from mlbench_core.data.check import ROWS, check
from mlbench_core.data.dataset import Dataset
from mlbench_core.errors import ConfigError
from mlbench_core.plugins import attribute

Y = np.array([0, 1, 2, 0])
GOOD = {
    "vector": np.ones((4, 3), np.float32),
    "image": np.ones((4, 5, 5, 1), np.uint8),
    "tokens": np.ones((4, 3), np.int32),
}


def data(of: str = "vector", **changes: Any) -> Dataset:
    x = GOOD[of]
    good = Dataset(name="mine", kind=of, x_train=x, y_train=Y, x_val=x, y_val=Y, num_classes=3)  # type: ignore[arg-type]
    return evolve(good, **changes)


def said(wrong: Dataset) -> str:
    with pytest.raises(ConfigError) as error:
        check(wrong)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("kind", GOOD)
def test_good_data_pass(kind: str) -> None:
    check(data(kind))
    check(data(kind, y_train=Y.astype(np.uint8), num_classes=np.int64(3)))
    check(data(kind, y_train=np.zeros(4, int), y_val=np.zeros(4, int), num_classes=1))


def test_every_data_set_of_the_core_passes(tmp_path: Any) -> None:
    for each in register_datasets():
        if each.name not in ("file", "cifar10"):
            request = DataRequest(argument="", takes="image", seed=0, data_dir=None, cache=tmp_path)
            check(attribute(each.load)(request))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"y_train": np.array([0, 1, 2, 3])},
            "y_train[3] is 3, and with 3 classes labels lie in 0 to 2: count labels from 0, or make num_classes larger",
        ),
        ({"y_val": np.array([0, -1, 2, 3])}, "y_val[1] is -1, and with 3 classes labels lie in 0 to 2: count labels from 0"),
        ({"y_val": np.array([0, 2**63, 2, 3], np.uint64)}, "y_val[1] is 9223372036854775808"),
        ({"y_train": np.eye(4)}, "y_train is float64 of shape (4, 4), and labels are whole numbers with one axis: take"),
        ({"y_train": Y[:, None]}, "y_train is int64 of shape (4, 1), and labels are whole numbers with one axis: save it as"),
        ({"y_train": Y.astype(float)}, "y_train is float64 of shape (4,)"),
        ({"y_train": Y > 0}, "y_train is bool of shape (4,)"),
        ({"y_train": list(Y)}, "y_train is a list, not a NumPy array: make it one of int64"),
        ({"y_train": Y.astype(object)}, "y_train holds Python objects (dtype object): save it as int64"),
        ({"x_train": GOOD["vector"].astype(object)}, "x_train holds Python objects (dtype object): save it as float32"),
        ({"x_val": None}, "x_val is a NoneType, not a NumPy array"),
        ({"x_val": np.full((4, 3), "a")}, "x_val holds <U1, not numbers: save it as float32"),
        ({"x_train": GOOD["vector"][0]}, "x_train has shape (3,), and vector data have (n, features): reshape it"),
        ({"x_train": GOOD["image"]}, "x_train has shape (4, 5, 5, 1), and vector data have (n, features)"),
        ({"x_train": np.zeros((0, 3))}, "x_train is empty, of shape (0, 3)"),
        ({"y_val": Y[:0]}, "y_val is empty, of shape (0,)"),
        ({"x_val": np.zeros((4, 0))}, "x_val is empty, of shape (4, 0)"),
        ({"x_train": GOOD["vector"][:3]}, "x_train has 3 samples and y_train 4 labels: give each sample one label"),
        ({"y_val": Y[:3]}, "x_val has 4 samples and y_val 3 labels"),
        ({"x_val": np.ones((4, 2))}, "a sample of x_train has shape (3,) and one of x_val (2,)"),
        ({"x_val": np.ones((4, 3), int)}, "x_train holds float32 and x_val int64: scale and save both in the same way"),
        ({"x_train": np.array([[1, 1, 1], [1, 1, np.nan]] * 2)}, "x_train[1, 2] is nan, not finite in float32"),
        ({"x_val": np.array([[1, -np.inf, 1]] * 4)}, "x_val[0, 1] is -inf"),
        ({"x_val": np.array([[1, 1, 1e39]] * 4)}, "x_val[0, 2] is 1e+39"),
        ({"kind": "pictures"}, "kind is 'pictures': make it one of image, vector, tokens"),
        ({"num_classes": 0}, "num_classes is 0: make it how many labels there are"),
        ({"num_classes": True}, "num_classes is True"),
        ({"num_classes": "3"}, "num_classes is '3'"),
        ({"levels": 1}, "levels is 1: make it how many values a pixel can have, at least 2, or None"),
    ],
)  # fmt: skip
def test_a_fault_is_one_line(changes: dict[str, Any], words: str) -> None:
    assert said(data(**changes)).startswith(f"dataset: mine: {words}")


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.ones((4, 3)), "x_train holds float64, and tokens are whole numbers: save it as int32"),
        (np.array([[0, 1, -1]] * 4), "x_train[0, 2] is -1, and tokens lie in 0 to 2147483647"),
        (np.array([[0, 2**31, 1]] * 4), "x_train[0, 1] is 2147483648, and tokens"),
    ],
)
def test_tokens_are_whole_numbers_in_range(x: Any, words: str) -> None:
    assert said(data("tokens", x_train=x)).startswith(f"dataset: mine: {words}")


@given(length=st.integers(1, 2 * ROWS + 3), place=st.integers(0, 2 * ROWS + 2), later=st.integers(0, 2 * ROWS + 2))
def test_the_first_offender_is_found_wherever_it_is(length: int, place: int, later: int) -> None:
    place, later = place % length, later % length
    y = np.zeros(length, np.int8)
    y[later], y[place] = 9, 7
    x = np.ones((length, 3), np.float32)
    first = min(place, later)
    assert f"y_train[{first}] is {y[first]}," in said(data(x_train=x, y_train=y))
    x[place, 1] = np.nan
    assert f"x_train[{place}, 1] is nan" in said(data(x_train=x, y_train=y))
