"""Executors run requests as generators that yield when a worker has had its turn, or what to wait for; here they are run to
their ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TypeVar

from mlbench_core.executor import Running

T = TypeVar("T")


def run_alone(one: Running[T]) -> T:
    """Runs one to its end."""
    ((_, result),) = run_in_turns([one])
    return result


def run_in_turns(several: Iterable[Running[T]]) -> Iterator[tuple[Running[T], T]]:
    """Runs all to their ends, each for one turn at a time, in the order given: (which, result) as each ends.

    If one raises, or nobody asks for more, the others are closed.
    """
    for item in in_turns(several):
        if isinstance(item, Future):
            wait([item])
        else:
            yield item


def in_turns(several: Iterable[Running[T]]) -> Iterator[Future[None] | tuple[Running[T], T]]:
    """The same, and does not wait: it hands on what there is to wait for, and is asked for more once that is done."""
    waiting = deque(several)
    try:
        while waiting:
            running = waiting[0]
            try:
                pending = next(running)
            except StopIteration as end:
                waiting.popleft()
                yield running, end.value
            else:
                if pending is None:
                    waiting.rotate(-1)
                else:
                    yield pending
    finally:
        for running in waiting:
            running.close()


def run_at_once(several: Iterable[Running[T]]) -> Iterator[tuple[Running[T], T]]:
    """Runs all to their ends side by side, while one has nothing to do but wait the others: (which, result) as each ends.

    If one raises, or nobody asks for more, the others are closed.
    """
    left = dict.fromkeys(several)
    waiting: dict[Running[T], Future[None]] = {}
    try:
        while left:
            for running in [each for each in left if each not in waiting or waiting[each].done()]:
                waiting.pop(running, None)
                try:
                    pending = next(running)
                except StopIteration as end:
                    del left[running]
                    yield running, end.value
                else:
                    if pending is not None:
                        waiting[running] = pending
            if left and len(waiting) == len(left):
                wait(waiting.values(), return_when=FIRST_COMPLETED)
    finally:
        for running in left:
            running.close()
