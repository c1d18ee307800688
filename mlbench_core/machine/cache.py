"""Where mlbench keeps what it need not make or prove again; docs/reference/caches.md has the keys."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from attrs import frozen

from mlbench_core.errors import ConfigError

FOLDERS = {
    "parity": "what was proven of models",
    "data": "data sets: downloaded, and prepared for models",
    "durations": "how long trials took",
}
"""What is kept, by the name of its folder."""


@frozen(kw_only=True)
class Kept:
    """One kind of thing that is kept. size: bytes."""

    name: str
    meaning: str
    path: Path
    files: int
    size: int


def cache_folder() -> Path:
    """MLBENCH_CACHE, or mlbench inside the user's cache folder (XDG_CACHE_HOME, ~/.cache)."""
    base = os.environ.get("MLBENCH_CACHE")
    return Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlbench"


def kept() -> list[Kept]:
    """All that is kept, also what is empty."""
    found = []
    for name, meaning in FOLDERS.items():
        path = cache_folder() / name
        sizes = [_size(file) for file in path.rglob("*") if file.is_file()] if path.is_dir() else []
        found.append(Kept(name=name, meaning=meaning, path=path, files=len(sizes), size=sum(sizes)))
    return found


def clear() -> list[Kept]:
    """Empties the cache and returns what was in it. Whatever else lies in the folder stays. Raises ConfigError if it cannot."""
    before = kept()
    for one in before:
        try:
            if one.path.is_symlink():
                one.path.unlink()
            elif one.path.is_dir():
                shutil.rmtree(one.path)
        except OSError as error:
            raise ConfigError(f"the cache: cannot remove {str(one.path)!r}: {error.strerror}") from None
    return before


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # removed since it was listed
        return 0
