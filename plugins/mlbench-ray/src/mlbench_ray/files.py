"""Prepared data on a node: where the driver has them, if the node sees the same there, else brought by the driver once."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from mlbench_core.errors import ExecutorError
from mlbench_core.machine.cache import cache_folder

BROUGHT = "data/brought"
"""The folder in the cache, with one for each data set, named by its digest."""
CHUNK = 2**20
Files = dict[str, bytes]
"""Content by path within a folder."""


def digest_of(folder: Path) -> str:
    """A hash of the names and contents of all files in a folder; empty if there is no such folder."""
    if not folder.is_dir():
        return ""
    total = hashlib.sha256()
    for name in _names(folder):
        one = hashlib.sha256()
        with (folder / name).open("rb") as content:
            while part := content.read(CHUNK):
                one.update(part)
        total.update(f"{name}\0{one.hexdigest()}\n".encode())
    return total.hexdigest()


def read(folder: Path) -> Files:
    """The files of a folder."""
    return {name: (folder / name).read_bytes() for name in _names(folder)}


def present(folder: Path, digest: str) -> str:
    """Where this machine has data of that digest, the folder itself or what was brought; empty if nowhere."""
    brought = cache_folder() / BROUGHT / digest
    return next((str(place.absolute()) for place in (folder, brought) if digest_of(place) == digest), "")


def take(files: Files, digest: str) -> str:
    """Keeps what was brought. Raises ExecutorError if it is not of that digest."""
    place = (cache_folder() / BROUGHT / digest).absolute()
    place.parent.mkdir(parents=True, exist_ok=True)
    coming = Path(tempfile.mkdtemp(dir=place.parent, prefix="coming-"))
    try:
        for name, content in files.items():
            (coming / name).parent.mkdir(parents=True, exist_ok=True)
            (coming / name).write_bytes(content)
        if digest_of(coming) != digest:
            raise ExecutorError(
                f"the data were brought to {place} and are not what the driver has: {digest} was wanted"
            )
        if digest_of(place) != digest:  # nodes that share a cache may be brought the same at once
            shutil.rmtree(place, ignore_errors=True)
            try:
                coming.rename(place)
            except OSError:
                if digest_of(place) != digest:
                    raise
    finally:
        shutil.rmtree(coming, ignore_errors=True)
    return str(place)


def _names(folder: Path) -> list[str]:
    return sorted(
        os.path.relpath(os.path.join(base, name), folder) for base, _, names in os.walk(folder) for name in names
    )
