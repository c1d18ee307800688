"""How a command is ended from outside: by Ctrl-C, by a batch system, or by closing its terminal.

Once, and it stops what it does, writes what there is, and says how to go on. Twice, and it also leaves out whatever of that is
slow. Signals are a process's own, and so is what is kept here. Without `listen` Python's own Ctrl-C is all there is.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType

SETTLE_S = 1.0
"""Whoever sends SIGTERM or SIGHUP often sends more at once (a closed terminal's shell repeats SIGHUP; systemd sends both), so
that what follows within this time of the one before is no second request. Ctrl-C comes from a person, and always counts."""


class _State:
    def __init__(self) -> None:
        self.count, self.status, self.last = 0, 0, 0.0
        self.held, self.pending = 0, False
        self.short = 0


_state = _State()


def listen() -> None:
    """From now on Ctrl-C, SIGTERM and SIGHUP raise KeyboardInterrupt in the main thread the first time; the second ends this
    process's workers at once, and whatever may be cut short. One that the caller has had ignored (`nohup`) stays ignored."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, _on_signal)


def status() -> int:
    """The exit status of a program that was ended so: 130 by Ctrl-C, 143 by SIGTERM or SIGHUP; 0 if it was not."""
    return _state.status


def end_deaf() -> int:
    """The status, and if it was ended so, no further signal changes that: as Python ends it gives up its handlers, not this."""
    if _state.status:
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
    return _state.status


def hurried() -> bool:
    """Whether it was asked for twice: only what must be done is to be done."""
    return _state.count > 1


@contextlib.contextmanager
def held() -> Iterator[None]:
    """What is done in here is done as a whole: a first signal takes effect at its end."""
    _state.held += 1
    try:
        yield
    finally:
        _state.held -= 1
    if _state.pending and not _state.held:
        _state.pending = False
        raise KeyboardInterrupt


@contextlib.contextmanager
def cut_short() -> Iterator[None]:
    """What is done in here is not needed: any signal ends it, and the program goes on behind it."""
    _state.short += 1
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        _state.short -= 1


def end_children() -> None:
    """Kills all that this process has started and that is still there."""
    import psutil  # a run has it long since, and `mlbench --help` does without

    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()


def _on_signal(number: int, _frame: FrameType | None) -> None:
    now = time.monotonic()
    echo = _state.count > 0 and number != signal.SIGINT and now - _state.last < SETTLE_S
    _state.last = now
    if echo:
        return
    _state.count += 1
    if _state.count > 1:
        end_children()
    else:
        _state.status = 130 if number == signal.SIGINT else 143
    if _state.held:
        _state.pending = _state.pending or _state.count == 1
    elif _state.count == 1 or _state.short:
        raise KeyboardInterrupt
