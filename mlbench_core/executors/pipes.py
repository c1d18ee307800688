"""The parent's ends of a worker's pipes: one loop that takes all that comes, tells what is to be told, and never waits for the
worker longer than it is asked to.

A worker may flood its pipes, stop reading, or write half a line and hang: none of that blocks the parent or takes its memory.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from mlbench_core.executors.log import Log

CHUNK = 2**16
LONGEST_LINE = 2**26
"""Bytes; the largest event, what a trial has measured, takes a hundredth of it."""
SHOWN = 200
"""Bytes of a line that is longer, or was cut off."""
LONGEST_S = 2.0**20
"""The system waits for no more than 24 days at once."""
LOOK_S = 0.1
"""How often to look whether the worker lives, where the system does not tell."""


class Lines:
    """Bytes -> lines, none longer than LONGEST_LINE: of a longer one the beginning."""

    def __init__(self) -> None:
        self.rest, self._lost = bytearray(), False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that end in these bytes, without their line breaks."""
        *ended, begun = data.split(b"\n")
        found = []
        for part in ended:
            self._add(part)
            found.append(bytes(self.rest))
            self.rest, self._lost = bytearray(), False
        self._add(begun)
        return found

    def _add(self, part: bytes) -> None:
        if self._lost or len(self.rest) + len(part) > LONGEST_LINE:
            self._lost = True
            del self.rest[SHOWN:]
        else:
            self.rest += part


class Pipes:
    """What a worker says and prints, and what it is told.

    stop: a descriptor; once there is something to read from it, `stopped`, and nobody waits for the worker any more. events:
    the descriptor that its events come from. log: takes what it prints. ended: whether there will be no more events: it has
    closed their pipe, or it is dead and all is read.
    """

    def __init__(self, process: subprocess.Popen[bytes], events: int, log: Log, stop: int | None = None) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.ended = self.stopped = False
        self._process, self._events, self._log = process, events, log
        self._input, self._output = process.stdin.fileno(), process.stdout.fileno()
        self._lines, self._arrived, self._pending = Lines(), deque[bytes](), bytearray()
        self._selector = selectors.DefaultSelector()
        self._watch(events, self._hear)
        self._watch(self._output, self._print)
        if stop is not None:
            self._selector.register(stop, selectors.EVENT_READ, partial(self._stop, stop))
        os.set_blocking(self._input, False)
        self._death = _descriptor_of(process.pid)
        if self._death is not None:
            self._watch(self._death, self._die)

    def tell(self, line: str) -> None:
        """Has a line written to the worker, as soon as it reads; if it is dead, the end of its events will tell."""
        if not self._pending:
            self._selector.register(self._input, selectors.EVENT_WRITE, self._write)
        self._pending += line.encode() + b"\n"
        self._write()

    def next_line(self, seconds: float) -> bytes | None:
        """The next line of its events; None if none comes within so many seconds, `ended` or `stopped`."""
        end = time.monotonic() + seconds
        while not self._arrived and not self.ended and not self.stopped:
            left = end - time.monotonic()
            if left <= 0:
                return None
            self.move(min(left, LONGEST_S))
        return self._arrived.popleft() if self._arrived else None

    def move(self, seconds: float) -> bool:
        """Takes and gives what there is; waits for it at most so many seconds. Returns whether anything was taken."""
        # Asked before, not after: what it says with its last breath may come while the rest is taken.
        dead = self._process.poll() is not None
        seconds = 0.0 if dead else seconds if self._death is not None else min(seconds, LOOK_S)
        taken = [key.fd for key, _ in self._selector.select(seconds) if key.data()]
        if dead and self._events not in taken:
            self.ended = True
        return bool(taken)

    def hang_up(self) -> None:
        """Closes what the worker reads: it will be told no more."""
        self._forget(self._input)
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()

    def close(self) -> None:
        """Takes what is left to take, which ends soon where nothing of the worker lives, and closes all."""
        end = time.monotonic() + 1.0
        while self.move(0.0) and time.monotonic() < end:
            pass
        if self._lines.rest:
            self.noise(bytes(self._lines.rest[:SHOWN]) + b" (cut off)")
        self._selector.close()
        self.hang_up()
        assert self._process.stdout is not None
        self._process.stdout.close()
        os.close(self._events)
        if self._death is not None:
            os.close(self._death)

    def noise(self, line: bytes) -> None:
        """Puts a line that is no event into the log."""
        self._log.write(b"not an event: " + line[: 5 * SHOWN] + b"\n")

    def _watch(self, descriptor: int, take: Callable[[], bool]) -> None:
        os.set_blocking(descriptor, False)
        self._selector.register(descriptor, selectors.EVENT_READ, take)

    def _forget(self, descriptor: int) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(descriptor)

    def _hear(self) -> bool:
        data = self._read(self._events)
        if data == b"":
            self.ended = True
        self._arrived.extend(self._lines.feed(data or b""))
        return bool(data)

    def _print(self) -> bool:
        data = self._read(self._output)
        self._log.write(data or b"")
        return bool(data)

    def _read(self, descriptor: int) -> bytes | None:
        """What there is to read; empty at the end of the pipe, which is forgotten then; None if there is nothing yet."""
        try:
            data = os.read(descriptor, CHUNK)
        except BlockingIOError:
            return None
        if not data:
            self._forget(descriptor)
        return data

    def _write(self) -> bool:
        try:
            del self._pending[: os.write(self._input, self._pending[:CHUNK])]
        except BlockingIOError:
            return False
        except OSError:  # nobody reads any more
            self._pending.clear()
        if not self._pending:
            self._forget(self._input)
        return False

    def _stop(self, descriptor: int) -> bool:
        self._forget(descriptor)  # it stays readable
        self.stopped = True
        return False

    def _die(self) -> bool:
        assert self._death is not None
        self._forget(self._death)  # it stays readable
        return False


def _descriptor_of(pid: int) -> int | None:
    """What becomes readable as the process ends, where the system has such a thing (Linux 5.3)."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None
