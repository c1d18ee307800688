"""Prepares a data set once, in the parent, as .npy files that every worker maps into its memory."""

from __future__ import annotations

import hashlib
import json
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
from mlbench_core.data.check import check
from mlbench_core.data.dataset import ARRAYS, Array, DataRequest, Dataset
from mlbench_core.data.freshness import content_of, origins, state_of
from mlbench_core.data.notes import notes
from mlbench_core.errors import ConfigError, MlbenchError, PluginError, in_one_line
from mlbench_core.hookspecs import DatasetDescriptor, ModelDescriptor
from mlbench_core.plugins import attribute
from mlbench_core.record import Flag
from mlbench_core.serialize import from_json, to_json


@frozen(kw_only=True)
class Arrays:
    """A prepared data set, mapped from disk: x as the model takes it, y int32. notes: on what its loader returned."""

    x_train: Array
    y_train: Array
    x_val: Array
    y_val: Array
    num_classes: int
    notes: tuple[Flag, ...] = ()

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

    What is in the cache is used again only if the loader's code, what it imports and the files that it names are the same. A
    loader that does not name its files is asked in any case.

    Raises ConfigError if the data cannot be had, are not what they should be, or do not fit the model; and PluginError, "its
    loader ...", if what the descriptor names cannot be imported, raises, or returns something else.
    """
    load = attribute(descriptor.load)
    request = DataRequest(
        argument=argument,
        takes=model.takes,
        seed=seed if descriptor.kind == "any" else 0,
        data_dir=data_dir,
        cache=cache / descriptor.name,
        progress=progress,
    )
    name = argument if descriptor.name == "file" else f"{descriptor.name}:{argument}".removesuffix(":")
    data = None
    facts = origins(descriptor, model, request, import_module(descriptor.load.partition(":")[0]))
    if descriptor.files is None:
        data = _loaded(load, descriptor.load, request, name)
        facts.append(content_of(data))
    else:
        facts.append(state_of(_files(descriptor.files, request)))
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    folder = cache / "prepared" / f"{descriptor.name}-{model.takes}-{key}"
    if not _whole(folder):
        data = data or _loaded(load, descriptor.load, request, name)
        fitted = adapt(data, model.takes, model.min_image, model.max_length)
        meta = {"num_classes": int(data.num_classes), "notes": to_json(notes(data))}
        try:
            _write({name: getattr(fitted, name) for name in ARRAYS}, meta, folder)
        except OSError as error:
            raise ConfigError(f"dataset: {name} cannot be written to {folder}: {error.strerror or error}") from None
    return folder


def _loaded(load: Callable[[DataRequest], Any], path: str, request: DataRequest, name: str) -> Dataset:
    """What the loader returns, under the name that it was asked for by, if it is a data set that can be trained on."""
    data = _answer(load, "loader", path, request)
    if not isinstance(data, Dataset):
        raise PluginError(f"its loader {path!r} returned a {type(data).__name__}, not a Dataset")
    data = evolve(data, name=name)
    check(data)
    return data


def _files(path: str, request: DataRequest) -> list[str | Path]:
    """The files that the loader names; path: the import string of the function that does."""
    found = _answer(attribute(path), "list of files", path, request)
    if not isinstance(found, (list, tuple)) or not all(isinstance(each, (str, Path)) for each in found):
        raise PluginError(f"its list of files {path!r} returned a {type(found).__name__}, not a list of paths")
    return list(found)


def _answer(function: Callable[[DataRequest], Any], what: str, path: str, request: DataRequest) -> Any:
    """What a plugin's function returns. What it raises is its own fault, unless it says so in one of our errors."""
    try:
        return function(request)
    except MlbenchError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(f"its {what} {path!r} raised {in_one_line(error)}") from error


def _whole(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("meta.json", *(f"{name}.npy" for name in ARRAYS)))


def open_prepared(folder: str | Path) -> Arrays:
    """The arrays in a prepared folder, mapped read-only."""
    place = Path(folder)
    meta = json.loads((place / "meta.json").read_text())
    arrays = {name: np.load(place / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS}
    found = tuple(from_json(note, Flag) for note in meta["notes"])
    return Arrays(num_classes=meta["num_classes"], notes=found, **arrays)


def _write(arrays: dict[str, Array], meta: dict[str, Any], folder: Path) -> None:
    """Writes into a folder of its own and renames it: another run sees all of it or nothing."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        for name, array in arrays.items():
            np.save(scratch / f"{name}.npy", np.ascontiguousarray(array))
        (scratch / "meta.json").write_text(json.dumps(meta))
        if folder.exists() and not _whole(folder):  # somebody deleted a part of it
            shutil.rmtree(folder)
        scratch.rename(folder)
    except OSError:
        if not _whole(folder):  # else another run has just made the same
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
