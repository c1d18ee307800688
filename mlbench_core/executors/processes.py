"""A worker and all that it starts: which processes they are, and how they are ended, so that nothing stays.

A process belongs to a worker if it is in its process group or session, descends from it, or has its mark in the environment
that it began with: a daemon that has left group, session and parent keeps the mark.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil
from attrs import frozen

from mlbench_core.executors.shared_memory import Segments

MARK = "MLBENCH_WORKER"
"""The environment variable of the mark."""
GRACE_S = 2.0
"""Between SIGTERM and SIGKILL."""
KILLED_S = 10.0
"""A process that SIGKILL has not ended by then waits for a device, and cannot be ended by anybody."""
LOOK_S = 0.02
PROC = Path("/proc")


def new_mark() -> str:
    """A value of the environment variable MARK that no other worker has."""
    return uuid.uuid4().hex


class Family:
    """A worker's processes. mark: the value of MARK in its environment. killed: whether this ended the worker itself."""

    def __init__(self, process: subprocess.Popen[bytes], mark: str, segments: Segments) -> None:
        self.killed = self._ended = False
        self._process, self._mark, self._segments = process, f"{MARK}={mark}".encode(), segments
        self._seen = {process.pid}

    def end(self, patience_s: float = 0.0, meanwhile: Callable[[float], bool] = lambda _seconds: False) -> None:
        """Ends what there is; when this returns, nothing of the worker is left, also if an exception passes through.

        The worker has `patience_s` to leave by itself. Then all that is left is told to end (SIGTERM), and after GRACE_S what
        is still there is killed (SIGKILL). meanwhile: called again and again with seconds that it may wait; says if it did
        anything. Once all has ended there is nothing more to do.
        """
        if self._ended:
            return
        try:
            self._wait(lambda: self._process.poll() is not None, patience_s, meanwhile)
            if self._signal(signal.SIGTERM):
                self._wait(lambda: not self.members(), GRACE_S, meanwhile)
        finally:
            end = time.monotonic() + KILLED_S
            while self._signal(signal.SIGKILL) and time.monotonic() < end:
                time.sleep(LOOK_S)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(KILLED_S)
            self._segments.remove(self._seen)
            self._ended = True

    def members(self) -> set[int]:
        """The processes that live now."""
        self._process.poll()  # a worker that has ended is no longer one of them
        found = _on_linux(self._process.pid, self._mark) if PROC.exists() else _elsewhere(self._process)
        self._seen |= found
        return found

    def _signal(self, number: int) -> set[int]:
        """Sends a signal to all; returns to whom."""
        left = self.members()
        self._segments.look(left)
        self.killed = self.killed or self._process.pid in left
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        return left

    @staticmethod
    def _wait(done: Callable[[], bool], seconds: float, meanwhile: Callable[[float], bool]) -> None:
        end = time.monotonic() + seconds
        while not done() and time.monotonic() < end:
            if not meanwhile(LOOK_S):
                time.sleep(LOOK_S / 4)


@frozen
class _Process:
    parent: int
    group: int
    session: int


def _on_linux(worker: int, mark: bytes) -> set[int]:
    table = {pid: process for pid in map(int, filter(str.isdigit, os.listdir(PROC))) if (process := _read(pid))}
    found = {pid for pid, process in table.items() if worker in (pid, process.group, process.session)}
    found |= {pid for pid in table.keys() - found if _is_marked(pid, mark)}
    more = found
    while more:
        more = {pid for pid, process in table.items() if process.parent in more} - found
        found |= more
    return found - {os.getpid()}


def _read(pid: int) -> _Process | None:
    """A process's place among others; None if it has ended."""
    try:
        fields = (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    state, parent, group, session = fields[:4]
    return None if state in b"ZX" else _Process(int(parent), int(group), int(session))


def _is_marked(pid: int, mark: bytes) -> bool:
    try:
        return mark in (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:  # another user's
        return False


def _elsewhere(process: subprocess.Popen[bytes]) -> set[int]:
    """Where there is no /proc: the worker and what descends from it, as long as it lives."""
    if process.poll() is not None:
        return set()
    with contextlib.suppress(psutil.Error):
        return {process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))}
    return set()
