"""The clock of a worker: for the whole, for a phase, and standing still while it waits for its turn."""

import pytest

from mlbench_core.executors import limits
from mlbench_core.executors.limits import Limits


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(limits.time, "monotonic", lambda: now[0])
    return now


def test_the_whole(clock: list[float]) -> None:
    found = Limits(10.0, None)
    clock[0] += 100  # nothing runs yet
    found.resume()
    clock[0] += 4
    assert (found.left(), found.reached()) == (6.0, None)
    found.pause()
    clock[0] += 100
    assert (found.left(), found.reached()) == (6.0, None)
    found.resume()
    clock[0] += 6
    assert found.left() == 0
    assert str(found.reached()) == "stopped during start after the time limit of 10 s (time_limit_s)"


def test_any_phase(clock: list[float]) -> None:
    found = Limits(10.0, 3.0)
    found.resume()
    clock[0] += 2
    found.enter("setup")
    clock[0] += 2
    assert (found.left(), found.reached()) == (1.0, None)
    found.pause()
    clock[0] += 9
    found.resume()
    clock[0] += 1.5
    reached = found.reached()
    assert found.left() == 0
    assert str(reached) == "stopped during setup after the limit of the phase setup of 3 s (phase_limit_s)"


def test_a_phase_that_has_a_limit(clock: list[float]) -> None:
    found = Limits(10.0, {"train": 1.0})
    found.resume()
    clock[0] += 4
    assert found.left() == 6.0
    found.enter("train")
    assert found.left() == 1.0
    found.enter("evaluate")
    clock[0] += 5
    assert (found.left(), found.reached()) == (1.0, None)
    found.enter("train")
    clock[0] += 1
    assert found.reached() is not None
