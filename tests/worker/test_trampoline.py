"""The trampoline: calls are made from where it is called, and what they raise reaches whoever asked for them."""

import sys

import pytest

from mlbench_core.thresholds import Measure
from mlbench_core.worker.timing import Loop, answer_queries, measure_values, warm_up
from mlbench_core.worker.trampoline import Asking, trampoline


def depth() -> int:
    frame, count = sys._getframe(1), 0
    while frame.f_back:
        frame, count = frame.f_back, count + 1
    return count


def test_a_call_has_none_of_the_frames_of_who_asked_for_it_on_its_stack() -> None:
    def deep(levels: int) -> Asking[int]:
        if levels:
            return (yield from deep(levels - 1))
        found: int = yield depth
        return found

    assert trampoline(deep(20)) == depth() + 1


def test_every_step_is_called_from_the_top() -> None:
    """TensorFlow walks the Python stack at each step: frames of the harness would be charged to it."""
    seen = []
    loop = Loop(
        step=lambda _session, _batch: seen.append(depth()),
        synchronize=lambda _session, _handle: True,
        session=None,
        batches=[None],
    )
    measure = Measure(value_seconds=1e-5, min_values=3, min_seconds=0, warmup_seconds=1e-4, steady_limit=8)

    def trial() -> Asking[None]:
        calibration, _ = yield from warm_up(loop, measure, None)
        yield from measure_values(loop, calibration.steps_per_value, measure, lambda: None)
        yield from answer_queries(loop, 20, calibration.steps_per_value, lambda: None)

    trampoline(trial())
    top = depth()
    # Trampoline, the loop's run or each, the step itself.
    assert set(seen) == {top + 3}


def test_what_a_call_raises_is_raised_where_it_was_asked_for() -> None:
    def careful() -> Asking[str]:
        try:
            yield lambda: 1 / 0
        except ZeroDivisionError:
            answer: str = yield lambda: "caught"
            return answer
        return "nothing was raised"

    assert trampoline(careful()) == "caught"

    def careless() -> Asking[None]:
        yield lambda: 1 / 0

    with pytest.raises(ZeroDivisionError):
        trampoline(careless())


def test_a_part_that_asks_for_nothing_returns_at_once() -> None:
    def idle() -> Asking[int]:
        return 3
        yield print

    assert trampoline(idle()) == 3
