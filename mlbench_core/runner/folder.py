"""The output folder of a run: nobody's before it, one run's at a time, and never written over unless that was asked for."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from mlbench_core.errors import ConfigError
from mlbench_core.results.storage import NAME as RESULTS
from mlbench_core.runner.journal import NAME as JOURNAL

LOCK = ".lock"
WRITTEN = (JOURNAL, RESULTS, "benchmark_results.csv", "parity.md", "report.html")
"""What a run writes into its folder, and what `--overwrite` removes, with the logs of its workers."""


def make_folder(path: Path) -> Path:
    """Makes the folder and that of its logs. Raises ConfigError if it cannot."""
    try:
        (path / "logs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"output: cannot make the folder {str(path)!r}: {error.strerror}") from None
    return path


def check_free(path: Path) -> None:
    """Raises ConfigError, with the three ways on, if the folder holds a run. A journal without a whole line is none."""
    for name in (RESULTS, JOURNAL):
        if _has_a_line(path / name):
            raise ConfigError(
                f"output: {str(path)!r} holds a run already ({name}): go on with it (--resume), choose another folder "
                "(--output), or replace it (--overwrite)"
            )


def clear(path: Path) -> None:
    """Removes what an earlier run wrote into the folder; whatever else lies there stays. Raises ConfigError if it cannot."""
    try:
        for file in (*(path / name for name in WRITTEN), *(path / "logs").glob("*.log")):
            file.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"output: cannot remove {error.filename!r}: {error.strerror}") from None


class Lock:
    """While it is held no other run takes the folder. The system releases it when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        """Takes it. Raises ConfigError that names the process which holds it."""
        path = folder / LOCK
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)  # no worker inherits it
        except OSError as error:
            raise ConfigError(f"output: cannot write to {str(folder)!r}: {error.strerror}") from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 20, 0).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise ConfigError(
                f"output: another run (process {holder or 'unknown'}) writes to {str(folder)!r}: wait until it has ended, "
                "or choose another folder (--output)"
            ) from None
        except OSError:
            pass  # a file system without locks: better a run without one than none
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Gives it up. The file stays: removing it would let two others hold the lock at once."""
        os.close(self._descriptor)


def _has_a_line(file: Path) -> bool:
    try:
        with file.open("rb") as content:
            return any(b"\n" in part for part in iter(lambda: content.read(2**20), b""))
    except OSError:
        return False
