"""Something to wait for, where an executor or a runner only lets time pass."""

from __future__ import annotations

from concurrent.futures import Future
from threading import Timer


def after(seconds: float) -> Future[None]:
    """Done after so many seconds."""
    found: Future[None] = Future()
    timer = Timer(seconds, found.set_result, [None])
    timer.daemon = True
    timer.start()
    return found
