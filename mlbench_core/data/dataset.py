"""The values of this room: what is asked of a data set's loader, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt
from attrs import frozen

from mlbench_core.errors import ConfigError

Kind = Literal["image", "vector", "tokens"]
Array = npt.NDArray[Any]
ARRAYS = ("x_train", "y_train", "x_val", "y_val")
"""The fields of a Dataset that hold samples and labels."""


@frozen(kw_only=True)
class DataRequest:
    """What a loader is asked for.

    argument: the text after the colon in a name such as "synthetic:224x224x3/1000". takes: what the model takes. seed: the
    run's, for made-up data of the kind "any"; 0 for every other kind, whose data are the same in every run. cache: a folder
    for downloads. progress: called as (bytes so far, bytes in all) while downloading.
    """

    argument: str
    takes: Kind
    seed: int
    data_dir: str | None
    cache: Path
    progress: Callable[[int, int], None] | None = None

    def refuse_argument(self, name: str) -> None:
        """Raises ConfigError if there is an argument: a data set that ignored it would run as something else than asked."""
        if self.argument:
            raise ConfigError(f"dataset: {name} takes no argument, and got {self.argument!r}")


@frozen(kw_only=True)
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


def no_files(request: DataRequest) -> list[Path]:
    """For `DatasetDescriptor.files` of a loader that reads no file of its own: its code and what it imports decide alone."""
    return []
