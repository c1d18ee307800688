"""Model files in Flax's own MessagePack format.

Not Orbax checkpoints: those are a folder of compressed chunks, so the size on disk would tell of the compressor, and they are
made for many hosts that write at a time. This is one dictionary of one host.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy.typing as npt
from flax import serialization

from mlbench_core.architecture import Shape
from mlbench_core.errors import PluginError
from mlbench_jax.distributed import Placement
from mlbench_jax.functional import Arrays


def save(arrays: Arrays, path: Path) -> Path:
    """Writes `path`.msgpack, replacing what is there."""
    file = path.with_name(f"{path.name}.msgpack")
    file.write_bytes(serialization.msgpack_serialize(jax.device_get(arrays)))
    return file


def restore(path: Path, shapes: dict[str, Shape], dtype: Any, place: Placement) -> Arrays:
    """The arrays of a file, placed. Raises PluginError if its names or shapes are another model's."""
    found: dict[str, npt.NDArray[Any]] = serialization.msgpack_restore(path.read_bytes())
    if {name: array.shape for name, array in found.items()} != shapes:
        raise PluginError(f"jax: {path} holds another model's parameters; load a file that this model was saved to")
    # astype copies: the arrays are views of the file's bytes, and a donated buffer is written to.
    placed: Arrays = place.put({name: array.astype(dtype) for name, array in found.items()})
    return placed
