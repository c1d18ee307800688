"""Prepares a data set once, in the parent, as .npy files that every worker maps into its memory."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, frozen

from mlbench_core.architecture import Shape
from mlbench_core.data.adapt import adapt
from mlbench_core.data.dataset import Array, DataRequest
from mlbench_core.errors import ConfigError
from mlbench_core.hookspecs import DatasetDescriptor, ModelDescriptor
from mlbench_core.plugins import attribute

FORMAT = 2
ARRAYS = ("x_train", "y_train", "x_val", "y_val")


@frozen
class Arrays:
    """A prepared data set, mapped from disk: x as the model takes it, y int32."""

    x_train: Array
    y_train: Array
    x_val: Array
    y_val: Array
    num_classes: int

    @property
    def input_shape(self) -> Shape:
        """The shape of one sample."""
        return tuple(self.x_train.shape[1:])


def parse_name(name: str) -> tuple[str, str]:
    """A data set's registered name and its argument: "synthetic:8x8x1" -> ("synthetic", "8x8x1"); a path to an .npz file is
    the argument of "file", which may be written before it or not."""
    if name.endswith(".npz"):
        return "file", name.removeprefix("file:")
    base, _, argument = name.partition(":")
    return base, argument


def prepare(
    descriptor: DatasetDescriptor,
    model: ModelDescriptor,
    *,
    argument: str,
    data_dir: str | None,
    seed: int,
    cache: Path,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """The folder of the data set adapted to the model, made now if it is not in the cache yet.

    Raises ConfigError if the data cannot be had, are not what they should be, or do not fit the model.
    """
    load = attribute(descriptor.load)
    takes: Any = model.takes
    request = DataRequest(argument, takes, seed, data_dir, cache / descriptor.name, progress)
    folder = cache / "prepared" / f"{descriptor.name}-{model.takes}-{_key(descriptor, model, request)}"
    if not _whole(folder):
        data = load(request)
        name = argument if descriptor.name == "file" else f"{descriptor.name}:{argument}".removesuffix(":")
        data = adapt(evolve(data, name=name), model.takes, model.min_image, model.max_length)
        try:
            _write({name: getattr(data, name) for name in ARRAYS}, data.num_classes, folder)
        except OSError as error:
            raise ConfigError(f"dataset: {name} cannot be written to {folder}: {error.strerror or error}") from None
    return folder


def _whole(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("meta.json", *(f"{name}.npy" for name in ARRAYS)))


def open_prepared(folder: str | Path) -> Arrays:
    """The arrays in a prepared folder, mapped read-only."""
    place = Path(folder)
    meta = json.loads((place / "meta.json").read_text())
    arrays = {name: np.load(place / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
    return Arrays(num_classes=meta["num_classes"], **arrays)


def _key(descriptor: DatasetDescriptor, model: ModelDescriptor, request: DataRequest) -> str:
    facts: list[Any] = [FORMAT, descriptor.load, request.argument, model.takes, model.min_image, model.max_length]
    if descriptor.kind == "any":
        facts.append(request.seed)
    for source in _sources(descriptor, request):
        if source.exists():
            status = source.stat()
            facts += [os.path.abspath(source), status.st_size, status.st_mtime_ns]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _sources(descriptor: DatasetDescriptor, request: DataRequest) -> list[Path]:
    """The files whose change makes the data anew: those that `sources` in the loader's module names, else the data_dir."""
    named = getattr(import_module(descriptor.load.partition(":")[0]), "sources", None)
    if named:
        found: list[Path] = named(request)
        return found
    return [Path(request.data_dir)] if request.data_dir else []


def _write(arrays: dict[str, Array], num_classes: int, folder: Path) -> None:
    """Writes into a folder of its own and renames it: another run sees all of it or nothing."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        for name, array in arrays.items():
            np.save(scratch / f"{name}.npy", np.ascontiguousarray(array))
        (scratch / "meta.json").write_text(json.dumps({"num_classes": num_classes}))
        if folder.exists() and not _whole(folder):  # somebody deleted a part of it
            shutil.rmtree(folder)
        scratch.rename(folder)
    except OSError:
        if not _whole(folder):  # else another run has just made the same
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
