"""Data that can be trained on, and may not be what they were meant to be."""

from typing import Any

import numpy as np
import pytest

from mlbench_core.data.dataset import Dataset
from mlbench_core.data.notes import notes


def named(y_train: Any, y_val: Any, classes: int, shape: tuple[int, ...] = (4,)) -> list[str]:
    train, val = (np.zeros((len(y), *shape), np.float32) for y in (y_train, y_val))
    kind: Any = "image" if len(shape) == 3 else "vector"
    found = notes(
        Dataset(
            name="mine",
            kind=kind,
            x_train=train,
            y_train=np.array(y_train),
            x_val=val,
            y_val=np.array(y_val),
            num_classes=classes,
        )
    )
    assert {flag.level for flag in found} <= {"note"}
    return [f"{flag.name}: {flag.text}" for flag in found]


@pytest.mark.parametrize(
    ("y_train", "y_val", "classes", "said"),
    [
        ([0, 1, 2], [0, 2], 3, ""),
        (
            [1, 1],
            [0, 1],
            2,
            "one class: every label of y_train is 1: there is nothing to learn, and accuracy says nothing",
        ),
        ([0, 0], [0, 0], 1, "one class: every label of y_train is 0"),
        (
            [1, 2, 3],
            [1, 3],
            4,
            "labels from 1: labels are 1 to 3, of 4 classes counted from 0: subtract 1 from each label",
        ),
        (
            [1, 2, 3],
            [0, 3],
            4,
            "empty classes: 1 of 4 classes have no sample in y_train (0): number labels without gaps",
        ),
        ([0, 2, 5], [1], 6, "empty classes: 3 of 6 classes have no sample in y_train (1, 3, 4): number"),
        ([0, 9], [1], 10, "empty classes: 8 of 10 classes have no sample in y_train (1, 2, 3, 4, 5 ...): number"),
    ],
)
def test_labels(y_train: Any, y_val: Any, classes: int, said: str) -> None:
    found = named(y_train, y_val, classes)
    assert len(found) == (1 if said else 0)
    assert not said or found[0].startswith(said)


@pytest.mark.parametrize(
    ("shape", "doubted"),
    [
        ((3, 8, 8), True),
        ((1, 28, 28), True),
        ((4, 32, 16), True),
        ((8, 8, 3), False),
        ((8, 8, 1), False),
        ((3, 3, 3), False),
        ((8, 8, 8), False),
        ((1, 1, 10), False),
        ((3, 8, 3), False),
    ],
)
def test_channels_that_seem_to_come_first(shape: tuple[int, ...], doubted: bool) -> None:
    found = named([0, 1], [0, 1], 2, shape)
    assert [note.partition(":")[0] for note in found] == (["channels first?"] if doubted else [])
