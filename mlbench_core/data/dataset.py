"""The values of this room: what is asked of a data set's loader, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt
from attrs import frozen

Kind = Literal["image", "vector", "tokens"]
Array = npt.NDArray[Any]


@frozen
class DataRequest:
    """What a loader is asked for.

    argument: the text after the colon in a name such as "synthetic:224x224x3/1000". takes: what the model takes. cache: a
    folder for downloads. progress: called as (bytes so far, bytes in all) while downloading.
    """

    argument: str
    takes: Kind
    seed: int
    data_dir: str | None
    cache: Path
    progress: Callable[[int, int], None] | None = None


@frozen
class Dataset:
    """Samples and labels as they are, before they are adapted to a model.

    Images (n, height, width, channels), vectors (n, features), tokens (n, length); labels integers (n,) from 0. `levels` is the
    number of values that integer-valued images can take (256 for bytes), None for float images.
    """

    name: str
    kind: Kind
    x_train: Array
    y_train: Array
    x_val: Array
    y_val: Array
    num_classes: int
    levels: int | None = None
