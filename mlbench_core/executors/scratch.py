"""Temporary folders that do not outlive whom they were made for: what a killed process has left, the next one removes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

NEW, HELD = "mlbench-new-", "mlbench-worker-"
"""What a folder's name begins with until it is locked, and from then on."""


@contextlib.contextmanager
def scratch() -> Iterator[str]:
    """A new folder for temporary files, removed at the end with all that is in it, and before it those that are nobody's.

    A folder is locked as long as this process lives: the system gives the lock up however that ends, and to no other process
    that happens to get its number. It has its final name only once it is locked: no other run takes it for a dead one's.
    """
    sweep(Path(tempfile.gettempdir()))
    made = Path(tempfile.mkdtemp(prefix=NEW))
    descriptor = os.open(made, os.O_RDONLY | os.O_DIRECTORY)  # no worker inherits it
    try:
        with contextlib.suppress(OSError):  # a file system without locks: better a folder that is never swept than none
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            made = made.rename(made.with_name(made.name.replace(NEW, HELD, 1)))
        yield str(made)
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(descriptor)


def sweep(place: Path) -> None:
    """Removes this user's folders whose processes are gone. What cannot be looked at or removed stays."""
    found: list[str] = []
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        found = [entry.path for entry in entries if entry.name.startswith(HELD)]
    for path in found:
        with contextlib.suppress(OSError):
            _remove_if_left(path)


def _remove_if_left(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_uid == os.getuid():
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where it is somebody's
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(descriptor)
