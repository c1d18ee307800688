"""Executors run trials as generators that yield when a worker has had its turn; here they are run to their ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
Play = Generator[None, None, T]
"""Goes on when asked for its next item, and returns what came of it."""


def alone(play: Play[T]) -> T:
    """Plays one to its end."""
    ((_, result),) = in_turns([play])
    return result


def in_turns(plays: Iterable[Play[T]]) -> Iterator[tuple[Play[T], T]]:
    """Plays all to their ends, each for one turn at a time, in the order given: (play, result) as each ends.

    If one raises, or nobody asks for more, the others are closed.
    """
    waiting = deque(plays)
    try:
        while waiting:
            play = waiting[0]
            try:
                next(play)
            except StopIteration as end:
                waiting.popleft()
                yield play, end.value
            else:
                waiting.rotate(-1)
    finally:
        for play in waiting:
            play.close()
