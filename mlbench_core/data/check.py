"""Whether what a loader returned can be trained on: looked at once, before any worker starts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import numpy as np

from mlbench_core.data.dataset import ARRAYS, Array, Dataset, Kind
from mlbench_core.errors import ConfigError

LARGEST_INT = np.iinfo(np.int32).max
LARGEST_FLOAT = np.finfo(np.float32).max
AXES = {"image": "(n, height, width, channels)", "vector": "(n, features)", "tokens": "(n, length)"}
ROWS = 4096
"""So many samples are looked at together: a mask over all of a large data set may not fit."""


def check(data: Dataset) -> None:
    """Raises ConfigError, one line, for the first thing that is wrong: the data set, the array, what it holds and where (index
    and value of the first offender), and what to do."""
    problem = next(_problems(data), None)
    if problem:
        raise ConfigError(f"dataset: {data.name}: {problem}")


def _problems(data: Dataset) -> Iterator[str]:
    yield from _facts(data)
    arrays = {name: getattr(data, name) for name in ARRAYS}
    for name, array in arrays.items():
        yield from _form(name, array, data.kind)
    for part in ("train", "val"):
        samples, labels = len(arrays[f"x_{part}"]), len(arrays[f"y_{part}"])
        if samples != labels:
            yield f"x_{part} has {samples} samples and y_{part} {labels} labels: give each sample one label"
    yield from _alike(data.x_train, data.x_val)
    for name, array in arrays.items():
        yield from _labels(name, array, data.num_classes) if name.startswith("y") else _samples(name, array, data.kind)


def _facts(data: Dataset) -> Iterator[str]:
    if data.kind not in get_args(Kind):
        yield f"kind is {data.kind!r}: make it one of {', '.join(get_args(Kind))}"
    if not _is_whole(data.num_classes) or not 1 <= data.num_classes <= LARGEST_INT + 1:
        yield f"num_classes is {data.num_classes!r}: make it how many labels there are, a whole number of at least 1"
    if data.levels is not None and not (_is_whole(data.levels) and data.levels >= 2):
        yield f"levels is {data.levels!r}: make it how many values a pixel can have, at least 2, or None"


def _is_whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _form(name: str, array: Any, kind: str) -> Iterator[str]:
    """Type and axes of an array, and whether there is anything in it."""
    labels = name.startswith("y")
    wanted = "int64" if labels else "int32" if kind == "tokens" else "float32"
    if not isinstance(array, np.ndarray):
        yield f"{name} is a {type(array).__name__}, not a NumPy array: make it one of {wanted}"
    elif array.dtype == object:
        yield f"{name} holds Python objects (dtype object): save it as {wanted}"
    elif labels and (array.dtype.kind not in "iu" or array.ndim != 1):
        how = (
            "take the argmax over its classes"
            if array.ndim == 2 and array.shape[1] > 1
            else f"save it as {wanted} (n,)"
        )
        yield f"{name} is {array.dtype} of shape {array.shape}, and labels are whole numbers with one axis: {how}"
    elif not labels and array.dtype.kind not in "iuf":
        yield f"{name} holds {array.dtype}, not numbers: save it as {wanted}"
    elif kind == "tokens" and array.dtype.kind == "f":
        yield f"{name} holds {array.dtype}, and tokens are whole numbers: save it as int32, or make the kind 'vector'"
    elif not labels and array.ndim != AXES[kind].count(",") + 1:
        yield f"{name} has shape {array.shape}, and {kind} data have {AXES[kind]}: reshape it"
    elif array.size == 0:
        yield f"{name} is empty, of shape {array.shape}: give at least one sample to train on and one to validate"


def _alike(train: Array, val: Array) -> Iterator[str]:
    if train.shape[1:] != val.shape[1:]:
        yield f"a sample of x_train has shape {train.shape[1:]} and one of x_val {val.shape[1:]}: make them alike"
    if (train.dtype.kind == "f") != (val.dtype.kind == "f"):
        yield f"x_train holds {train.dtype} and x_val {val.dtype}: scale and save both in the same way"


def _labels(name: str, labels: Array, num_classes: int) -> Iterator[str]:
    most = int(num_classes) - 1
    place = _first(labels, lambda part: (part < 0) | (part > most))
    if place is not None:
        advice = "count labels from 0, or make num_classes larger" if labels[place] > most else "count labels from 0"
        yield f"{name}{_at(place)} is {labels[place]}, and with {num_classes} classes labels lie in 0 to {most}: {advice}"


def _samples(name: str, x: Array, kind: str) -> Iterator[str]:
    if kind == "tokens":
        place = _first(x, lambda part: (part < 0) | (part > LARGEST_INT))
        if place is not None:
            yield f"{name}{_at(place)} is {x[place]}, and tokens lie in 0 to {LARGEST_INT}: number them anew"
    elif x.dtype.kind == "f":
        place = _first(x, lambda part: ~(np.abs(part) <= LARGEST_FLOAT))
        if place is not None:
            yield f"{name}{_at(place)} is {x[place]}, not finite in float32: leave the sample out, or put a number there"


def _first(array: Array, wrong: Any) -> tuple[int, ...] | None:
    """The index of the first element for which `wrong`, a function of an array, is true."""
    for start in range(0, len(array), ROWS):
        found = wrong(array[start : start + ROWS])
        if found.any():
            place = np.unravel_index(int(found.argmax()), found.shape)
            return (start + int(place[0]), *map(int, place[1:]))
    return None


def _at(place: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, place))}]"
