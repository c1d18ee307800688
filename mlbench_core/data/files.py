"""A user's own data: an .npz file with x_train, y_train, x_val and y_val."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from mlbench_core.data.check import LARGEST_INT
from mlbench_core.data.dataset import ARRAYS, Array, DataRequest, Dataset, Kind
from mlbench_core.errors import ConfigError


def npz_file(request: DataRequest) -> list[Path]:
    """The file that the data come from."""
    return [Path(request.argument)]


def npz(request: DataRequest) -> Dataset:
    """Reads the file that `request.argument` names; nothing in it is unpickled.

    Float arrays (n, features) are vectors, integer ones tokens; (n, height, width) and (n, height, width, channels) are
    images, bytes with 256 levels. Raises ConfigError that names the file and what is wrong with it; what is wrong with the
    arrays' content is said of every data set alike, by `check`.
    """
    if not request.argument:
        raise ConfigError("dataset: file needs a path that ends in .npz, such as data/mine.npz")
    path = Path(request.argument)
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            missing = [name for name in ARRAYS if name not in file.files]
            if missing:
                raise ConfigError(f"{path}: it lacks {', '.join(missing)}; it has {', '.join(file.files) or 'nothing'}")
            arrays = {name: _array(path, file, name) for name in ARRAYS}
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{path}: not a readable .npz file ({reason})") from None
    kind = _kind(path, arrays["x_train"])
    if kind == "tokens" and request.takes == "vector":
        raise ConfigError(f"{path}: x_train holds integers, which are read as tokens: save features as float32")
    if kind == "image":
        arrays |= {name: arrays[name][..., None] for name in ("x_train", "x_val") if arrays[name].ndim == 3}
    bytes_only = arrays["x_train"].dtype == arrays["x_val"].dtype == np.uint8
    levels = 256 if bytes_only and kind == "image" else None
    classes = max(2, *(1 + _largest(arrays[name]) for name in ("y_train", "y_val")))
    return Dataset(name=path.stem, kind=kind, num_classes=classes, levels=levels, **arrays)


def _array(path: Path, file: Any, name: str) -> Array:
    """An array of an open .npz file. One of Python objects is never read: it may hold any code."""
    try:
        array: Array = file[name]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        wanted = "float32" if name.startswith("x") else "int64"
        raise ConfigError(f"dataset: {path}: {name} holds Python objects (dtype object): save it as {wanted}") from None
    return array


def _largest(labels: Array) -> int:
    """The largest label that can be one; 0 where nothing can, which `check` will say."""
    return min(int(labels.max()), LARGEST_INT) if labels.dtype.kind in "iu" and labels.size else 0


def _kind(path: Path, x: Array) -> Kind:
    if x.ndim == 2:
        return "tokens" if x.dtype.kind in "iu" else "vector"
    if x.ndim in (3, 4):
        return "image"
    raise ConfigError(
        f"{path}: x_train has shape {x.shape}; vectors and tokens have 2 axes, images 3 (grey) or 4 (with channels)"
    )
