"""Preparing once, and the same batches for everybody."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench_core.data import (
    batches,
    cifar10,
    evaluation_batches,
    open_prepared,
    parse_name,
    prepare,
    register_datasets,
)
from mlbench_core.errors import ConfigError
from mlbench_core.models import register_models

DATASETS = {d.name: d for d in register_datasets()}
MODELS = {m.name: m for m in register_models()}


def prepared(cache: Path, dataset: str, model: str, seed: int = 0, data_dir: str | None = None) -> Path:
    base, argument = parse_name(dataset)
    return prepare(DATASETS[base], MODELS[model], argument=argument, data_dir=data_dir, seed=seed, cache=cache)


@pytest.mark.parametrize(
    ("dataset", "model", "shape", "dtype"),
    [
        ("digits", "mlp", (64,), np.float32),
        ("digits", "resnet18", (32, 32, 1), np.float32),
        ("digits", "bert-tiny", (64,), np.int32),
        ("digits-sequence", "bert-tiny", (64,), np.int32),
        ("breast_cancer", "mlp", (30,), np.float32),
        ("synthetic:40x48x3/5@16", "resnet18", (40, 48, 3), np.float32),
    ],
)
def test_what_a_model_gets(tmp_path: Path, dataset: str, model: str, shape: tuple[int, ...], dtype: type) -> None:
    arrays = open_prepared(prepared(tmp_path, dataset, model))
    assert arrays.input_shape == shape
    assert arrays.x_train.dtype == arrays.x_val.dtype == dtype
    assert arrays.y_train.dtype == arrays.y_val.dtype == np.int32
    assert isinstance(arrays.x_train, np.memmap)


def test_it_is_made_once(tmp_path: Path) -> None:
    folder = prepared(tmp_path, "digits", "mlp")
    before = (folder / "x_train.npy").stat().st_mtime_ns
    assert prepared(tmp_path, "digits", "mlp", seed=1) == folder  # real data do not depend on the seed
    assert (folder / "x_train.npy").stat().st_mtime_ns == before
    assert len({prepared(tmp_path, "synthetic:@8", "mlp", seed=seed) for seed in (0, 1)}) == 2
    assert [path.name for path in (tmp_path / "prepared").iterdir() if path.name.startswith("tmp")] == []


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    for size in (4, 5):
        x = np.zeros((size, 3))
        np.savez(path, x_train=x, y_train=np.zeros(size, int), x_val=x, y_val=np.zeros(size, int))
        assert len(open_prepared(prepared(tmp_path, str(path), "mlp")).y_train) == size


def test_a_data_dir_whose_files_changed_is_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "mine" / cifar10.FOLDER
    folder.mkdir(parents=True)
    for label in (1, 2):
        for name in (*cifar10.TRAIN, *cifar10.TEST):
            (folder / name).write_bytes(bytes([label]) + bytes(cifar10.RECORD - 1))
        arrays = open_prepared(prepared(tmp_path, "cifar10", "mlp", data_dir=str(tmp_path / "mine")))
        assert set(arrays.y_train) == {label}


def test_a_prepared_folder_that_lost_a_part_is_made_again(tmp_path: Path) -> None:
    folder = prepared(tmp_path, "digits", "mlp")
    (folder / "x_val.npy").unlink()
    assert open_prepared(prepared(tmp_path, "digits", "mlp")).x_val.shape == (360, 64)


def test_messages_name_the_data_set_as_it_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="synthetic:600 has sequences of 600 tokens"):
        prepared(tmp_path, "synthetic:600", "bert-tiny")
    with pytest.raises(ConfigError, match="file needs a path that ends in .npz"):
        prepared(tmp_path, "file", "mlp")
    (tmp_path / "in_the_way").touch()
    with pytest.raises(ConfigError, match="digits cannot be written to"):
        prepared(tmp_path / "in_the_way", "digits", "mlp")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("digits", ("digits", "")),
        ("synthetic:8x8x1/3", ("synthetic", "8x8x1/3")),
        ("a/b:c.npz", ("file", "a/b:c.npz")),
        ("file:a.npz", ("file", "a.npz")),
    ],
)
def test_names(name: str, parts: tuple[str, str]) -> None:
    assert parse_name(name) == parts


@given(samples=st.integers(1, 60), size=st.integers(1, 60), seed=st.integers(0, 5), epoch=st.integers(0, 3))
def test_an_epoch_shows_each_sample_at_most_once_in_the_same_order(
    samples: int, size: int, seed: int, epoch: int
) -> None:
    x, y = np.arange(samples, dtype=np.float32)[:, None], np.arange(samples, dtype=np.int32)
    first, second = (list(batches(x, y, size, seed, epoch)) for _ in range(2))
    assert len(first) == samples // size
    assert all(np.array_equal(a.x, b.x) and np.array_equal(a.x[:, 0], a.y) for a, b in zip(first, second, strict=True))
    shown = [label for batch in first for label in batch.y]
    assert len(set(shown)) == len(shown) == samples // size * size


def test_epochs_differ() -> None:
    x = y = np.arange(50, dtype=np.int32)
    orders = [next(batches(x, y, 50, 0, epoch)).y.tolist() for epoch in range(2)]
    assert orders[0] != orders[1]


@given(samples=st.integers(1, 40), size=st.integers(1, 50))
def test_evaluation_sees_every_sample_once_in_whole_batches(samples: int, size: int) -> None:
    x = y = np.arange(samples, dtype=np.int32)
    seen = []
    for batch, valid in evaluation_batches(x, y, size):
        assert len(batch.y) == size
        seen += batch.y[:valid].tolist()
    assert seen == list(range(samples))
