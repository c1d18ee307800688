"""A user's own data: an .npz file with x_train, y_train, x_val and y_val."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from mlbench_core.data.dataset import Array, DataRequest, Dataset, Kind
from mlbench_core.errors import ConfigError

NAMES = ("x_train", "y_train", "x_val", "y_val")
LARGEST_INT = np.iinfo(np.int32).max
LARGEST_FLOAT = np.finfo(np.float32).max


def sources(request: DataRequest) -> list[Path]:
    """The file that the data come from."""
    return [Path(request.argument)]


def npz(request: DataRequest) -> Dataset:
    """Reads the file that `request.argument` names; nothing in it is unpickled.

    Float arrays (n, features) are vectors, integer ones tokens; (n, height, width) and (n, height, width, channels) are
    images, bytes with 256 levels. Raises ConfigError that names the file, the array and what is wrong with it.
    """
    if not request.argument:
        raise ConfigError("dataset: file needs a path that ends in .npz, such as data/mine.npz")
    path = Path(request.argument)
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            missing = [name for name in NAMES if name not in file.files]
            if missing:
                raise ConfigError(f"{path}: it lacks {', '.join(missing)}; it has {', '.join(file.files) or 'nothing'}")
            arrays = {name: file[name] for name in NAMES}
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{path}: not a readable .npz file ({reason})") from None
    for part in ("train", "val"):
        _check(path, f"x_{part}", arrays[f"x_{part}"], f"y_{part}", arrays[f"y_{part}"])
    if (
        arrays["x_train"].shape[1:] != arrays["x_val"].shape[1:]
        or arrays["x_train"].dtype.kind != arrays["x_val"].dtype.kind
    ):
        raise ConfigError(f"{path}: the samples of x_train and x_val differ in shape or type")
    kind = _kind(path, arrays["x_train"])
    if kind == "tokens":
        if request.takes == "vector":
            raise ConfigError(f"{path}: x_train holds integers, which are read as tokens: save features as float32")
        for name in ("x_train", "x_val"):
            if arrays[name].min() < 0 or arrays[name].max() > LARGEST_INT:
                raise ConfigError(f"{path}: {name} holds tokens that are not within 0 and {LARGEST_INT}")
    if kind == "image" and arrays["x_train"].ndim == 3:
        arrays |= {name: arrays[name][..., None] for name in ("x_train", "x_val")}
    bytes_only = arrays["x_train"].dtype == arrays["x_val"].dtype == np.uint8
    levels = 256 if bytes_only and kind == "image" else None
    classes = int(max(arrays["y_train"].max(), arrays["y_val"].max())) + 1
    return Dataset(path.stem, kind, num_classes=max(2, classes), levels=levels, **arrays)


def _check(path: Path, x_name: str, x: Array, y_name: str, y: Array) -> None:
    problem = ""
    if y.ndim != 1 or y.dtype.kind not in "iu":
        problem = f"{y_name} must be whole numbers with one axis, not {y.dtype} {y.shape}"
    elif x.ndim == 0 or len(y) == 0 or x.size == 0:
        problem = f"{x_name} or {y_name} is empty"
    elif len(x) != len(y):
        problem = f"{x_name} has {len(x)} samples and {y_name} {len(y)} labels"
    elif y.min() < 0:
        problem = f"{y_name} holds the label {y.min()}; labels count from 0"
    elif y.max() > LARGEST_INT:
        problem = f"{y_name} holds the label {y.max()}; labels end at {LARGEST_INT}"
    elif x.dtype.kind not in "iuf":
        problem = f"{x_name} holds {x.dtype}, not numbers"
    elif x.dtype.kind == "f" and not (np.abs(x) <= LARGEST_FLOAT).all():
        problem = f"{x_name} holds values that are not finite in float32"
    if problem:
        raise ConfigError(f"{path}: {problem}")


def _kind(path: Path, x: Array) -> Kind:
    if x.ndim == 2:
        return "vector" if x.dtype.kind == "f" else "tokens"
    if x.ndim in (3, 4):
        return "image"
    raise ConfigError(
        f"{path}: x_train has shape {x.shape}; vectors and tokens have 2 axes, images 3 (grey) or 4 (with channels)"
    )
