"""A user's own data: an .npz file with x_train, y_train, x_val and y_val."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from mlbench_core.data.dataset import Array, DataRequest, Dataset, Kind
from mlbench_core.errors import ConfigError

NAMES = ("x_train", "y_train", "x_val", "y_val")


def npz(request: DataRequest) -> Dataset:
    """Reads the file that `request.argument` names; nothing in it is unpickled.

    Float arrays (n, features) are vectors, integer ones tokens; (n, height, width) and (n, height, width, channels) are
    images, bytes with 256 levels. Raises ConfigError that names the file, the array and what is wrong with it.
    """
    path = Path(request.argument)
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            missing = [name for name in NAMES if name not in file.files]
            if missing:
                raise ConfigError(f"{path}: it lacks {', '.join(missing)}; it has {', '.join(file.files) or 'nothing'}")
            arrays = {name: file[name] for name in NAMES}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path}: not a readable .npz file ({str(error).splitlines()[0]})") from None
    for part in ("train", "val"):
        _check(path, f"x_{part}", arrays[f"x_{part}"], f"y_{part}", arrays[f"y_{part}"])
    if (
        arrays["x_train"].shape[1:] != arrays["x_val"].shape[1:]
        or arrays["x_train"].dtype.kind != arrays["x_val"].dtype.kind
    ):
        raise ConfigError(f"{path}: the samples of x_train and x_val differ in shape or type")
    kind = _kind(path, arrays["x_train"])
    if kind == "image" and arrays["x_train"].ndim == 3:
        arrays |= {name: arrays[name][..., None] for name in ("x_train", "x_val")}
    levels = 256 if arrays["x_train"].dtype == np.uint8 and kind == "image" else None
    classes = int(max(arrays["y_train"].max(), arrays["y_val"].max())) + 1
    return Dataset(path.stem, kind, num_classes=max(2, classes), levels=levels, **arrays)


def _check(path: Path, x_name: str, x: Array, y_name: str, y: Array) -> None:
    problem = ""
    if y.ndim != 1 or y.dtype.kind not in "iu":
        problem = f"{y_name} must be whole numbers with one axis, not {y.dtype} {y.shape}"
    elif len(y) == 0 or x.size == 0:
        problem = f"{x_name} or {y_name} is empty"
    elif len(x) != len(y):
        problem = f"{x_name} has {len(x)} samples and {y_name} {len(y)} labels"
    elif y.min() < 0:
        problem = f"{y_name} holds the label {y.min()}; labels count from 0"
    elif x.dtype.kind not in "iuf":
        problem = f"{x_name} holds {x.dtype}, not numbers"
    elif x.dtype.kind == "f" and not np.isfinite(x).all():
        problem = f"{x_name} holds values that are not finite"
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
