"""Reading ahead gives what there is, in order, and its thread never outlives it."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench_core.data.batches import batches
from mlbench_core.worker.ahead import read_ahead


@given(st.lists(st.integers()), st.integers(1, 4))
def test_nothing_is_lost_and_nothing_changes_places(items: list[int], depth: int) -> None:
    assert list(read_ahead(iter(items), depth)) == items


def test_it_reads_before_it_is_asked_and_not_without_end() -> None:
    read = []

    def source() -> Iterator[int]:
        for number in range(100):
            read.append(number)
            yield number

    ahead = read_ahead(source(), 2)
    assert next(ahead) == 0
    deadline = time.monotonic() + 10
    while (
        len(read) < 3 and time.monotonic() < deadline
    ):  # two that wait; a fourth is fetched, and stands before the queue
        time.sleep(0.01)
    time.sleep(0.2)
    assert 3 <= len(read) <= 4
    ahead.close()  # type: ignore[attr-defined]


def test_an_error_comes_in_its_place() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    ahead = read_ahead(source())
    assert next(ahead) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(ahead)


def test_its_thread_ends_with_it() -> None:
    before = threading.active_count()
    ahead = read_ahead(iter(range(1000)))
    next(ahead)
    assert threading.active_count() == before + 1
    ahead.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_batches_are_the_same() -> None:
    x, y = np.arange(120.0, dtype=np.float32).reshape(40, 3), np.arange(40, dtype=np.int32)
    plain, ahead = batches(x, y, 8, 0, 1), read_ahead(batches(x, y, 8, 0, 1))
    for one, other in zip(plain, ahead, strict=True):
        np.testing.assert_array_equal(one.x, other.x)
        np.testing.assert_array_equal(one.y, other.y)
