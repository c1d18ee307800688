"""What a reader should know of data that can be trained on, and may not be what they were meant to be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlbench_core.data.dataset import Dataset
from mlbench_core.record import Flag

CHANNELS = (1, 3, 4)
"""How many channels pictures have: grey, colour, colour with transparency."""


def notes(data: Dataset) -> tuple[Flag, ...]:
    """Notes on labels of one class, labels that count from 1, classes without samples, and images with channels first.

    data: as its loader returned it, after `check`.
    """
    return tuple(Flag(name, "note", text) for name, text in (*_labels(data), *_axes(data)))


def _labels(data: Dataset) -> Iterator[tuple[str, str]]:
    trained = np.unique(data.y_train)
    if len(trained) == 1:
        yield (
            "one class",
            f"every label of y_train is {trained[0]}: there is nothing to learn, and accuracy says nothing",
        )
        return
    empty = sorted(set(range(data.num_classes)) - set(trained.tolist()))
    if empty == [0] and data.y_val.min() > 0:
        last = data.num_classes - 1
        yield (
            "labels from 1",
            f"labels are 1 to {last}, of {last + 1} classes counted from 0: subtract 1 from each label",
        )
    elif empty:
        which = ", ".join(map(str, empty[:5])) + (" ..." if len(empty) > 5 else "")
        yield (
            "empty classes",
            f"{len(empty)} of {data.num_classes} classes have no sample in y_train ({which}): number labels without gaps, "
            "unless that is meant",
        )


def _axes(data: Dataset) -> Iterator[tuple[str, str]]:
    if data.kind != "image":
        return
    height, width, channels = data.x_train.shape[1:]
    if height in CHANNELS and channels not in CHANNELS and width > max(CHANNELS):
        yield (
            "channels first?",
            f"images of {height} x {width} x {channels} are read as {channels} channels of {height} x {width} pixels: if the "
            "first is the channels, save np.moveaxis(x, 1, -1)",
        )
