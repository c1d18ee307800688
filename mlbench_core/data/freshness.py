"""Whether data that were prepared before are those that would be prepared now: all that they depend on, for their key."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from mlbench_core.data.dataset import ARRAYS, DataRequest, Dataset
from mlbench_core.fingerprint import INSTALLED, of_modules, origin
from mlbench_core.hookspecs import DatasetDescriptor, ModelDescriptor

MAKING = "mlbench_core.data.prepare"
"""The module that takes part in the making of all data, with what it imports."""

_known: WeakKeyDictionary[ModuleType, str] = WeakKeyDictionary()


def origins(
    descriptor: DatasetDescriptor, model: ModelDescriptor, request: DataRequest, loader: ModuleType
) -> list[Any]:
    """What the data come from, as JSON data: what was asked for, the code of the loader and of this room and where the loader
    lies, if it is not an installed one: it may read what lies beside it.

    loader: the module of the function `descriptor.load`.
    """
    asked = [request.argument, request.seed, request.data_dir and os.path.abspath(request.data_dir)]
    wanted = [model.takes, model.min_image, model.max_length]
    place = origin(loader.__name__)
    beside = str(place.resolve()) if place is not None and INSTALLED.isdisjoint(place.parts) else ""
    return [descriptor.load, *asked, *wanted, beside, _code(loader)]


def _code(loader: ModuleType) -> str:
    """The code that this process has imported. Sources that are edited afterwards are those of the next process."""
    if loader not in _known:
        _known[loader] = of_modules(loader.__name__, MAKING)
    return _known[loader]


def state_of(paths: Iterable[str | Path]) -> list[Any]:
    """What changes when files do, or what is in folders: of each its path, size and times; of one that is not there, that."""
    return [[os.path.abspath(path), *_state(path)] for named in paths for path in _inside(Path(named))]


def _inside(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir():
        yield from sorted(path.rglob("*"))


def _state(path: Path) -> list[Any]:
    if path.is_dir():
        return ["folder"]
    try:
        status = path.stat()
    except OSError:
        return ["absent"]
    # The time of the last change of any kind catches what keeps the other two: `cp -p`, `rsync -t`.
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def content_of(data: Dataset) -> str:
    """A hash of all that a loader returned."""
    digest = hashlib.sha256(repr((data.kind, data.num_classes, data.levels)).encode())
    for name in ARRAYS:
        array = np.ascontiguousarray(getattr(data, name))
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
