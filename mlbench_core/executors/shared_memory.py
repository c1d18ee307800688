"""What a worker leaves in the system's shared memory: its segments are files that outlive it."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

FOLDER, PROC = Path("/dev/shm"), Path("/proc")


class Segments:
    """The files of shared memory that came since this was made, and which of them are a worker's.

    A file is the worker's if one of its processes had it open or mapped when that was looked at, or if a part of its name is
    the number of one, as in PyTorch's and loky's. Any other file, and any that a living process still uses, is left alone.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder, self._used = folder, set[str]()
        self._before = set(self._names())

    def look(self, pids: Iterable[int]) -> None:
        """Notes what these processes have open or mapped."""
        for pid in pids:
            self._used |= set(_in_use(pid, self._folder))

    def remove(self, pids: Iterable[int]) -> list[str]:
        """Removes what was left by these processes, which have ended. Returns the names."""
        numbers = set(map(str, pids))
        left = [
            name
            for name in set(self._names()) - self._before
            if (name in self._used or numbers & set(re.split(r"[^0-9A-Za-z]+", name))) and self._is_ours(name)
        ]
        if left:
            others = [int(each) for each in os.listdir(PROC) if each.isdigit()]
            left = sorted(set(left) - {name for pid in others for name in _in_use(pid, self._folder)})
        for name in left:
            with contextlib.suppress(OSError):
                (self._folder / name).unlink()
        return left

    def _names(self) -> list[str]:
        try:
            return os.listdir(self._folder)
        except OSError:
            return []

    def _is_ours(self, name: str) -> bool:
        try:
            found = (self._folder / name).lstat()
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()


def _in_use(pid: int, folder: Path) -> Iterator[str]:
    """The names of the files directly in the folder that a process has open or mapped; none if it may not be asked."""
    place = PROC / str(pid)
    paths = []
    with contextlib.suppress(OSError):
        paths += [
            line.split(maxsplit=5)[-1] for line in (place / "maps").read_text().splitlines() if str(folder) in line
        ]
    with contextlib.suppress(OSError):
        for descriptor in os.listdir(place / "fd"):
            with contextlib.suppress(OSError):
                paths.append(os.readlink(place / "fd" / descriptor))
    for path in map(Path, paths):
        if path.parent == folder:
            yield path.name
