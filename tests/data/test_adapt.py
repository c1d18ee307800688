"""Adapting a data set to a model: what has a meaning, with known answers."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench_core.data import can_adapt, fitting, register_datasets
from mlbench_core.data.adapt import adapt, enlarged
from mlbench_core.data.dataset import Dataset
from mlbench_core.errors import ConfigError


def images(x: Any, levels: int | None = 256) -> Dataset:
    x = np.asarray(x)
    return Dataset(
        name="pictures",
        kind="image",
        x_train=x,
        y_train=np.arange(len(x)) % 2,
        x_val=x[:1],
        y_val=np.zeros(1, int),
        num_classes=2,
        levels=levels,
    )


def bytes_of(shape: tuple[int, ...], seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def test_images_are_standardised_per_channel() -> None:
    data = adapt(images(bytes_of((200, 6, 5, 3))), "image", 1, 512)
    assert data.x_train.dtype == np.float32
    assert data.y_train.dtype == np.int32
    # float32 means of 6,000 values
    assert data.x_train.mean(axis=(0, 1, 2)) == pytest.approx(np.zeros(3), abs=1e-5)
    assert data.x_train.std(axis=(0, 1, 2)) == pytest.approx(np.ones(3), abs=1e-5)


def test_a_constant_channel_stays_finite() -> None:
    assert np.all(adapt(images(np.full((4, 2, 2, 1), 7, np.uint8)), "image", 1, 512).x_train == 0)


def test_enlarging_a_ramp_gives_a_ramp() -> None:
    ramp = np.broadcast_to(np.arange(4.0)[None, :, None, None], (1, 4, 4, 1)).astype(np.float32)
    # Centres of the eight new pixels in old coordinates: -0.25, 0.25, 0.75 ... 3.25, cut off at the edges.
    expected = np.clip((np.arange(8) + 0.5) / 2 - 0.5, 0, 3)
    assert enlarged(ramp, 8)[0, :, 0, 0] == pytest.approx(expected)
    assert enlarged(ramp, 8).shape == (1, 8, 8, 1)
    assert enlarged(ramp, 4) is ramp


@given(height=st.integers(2, 9), width=st.integers(2, 9), size=st.integers(2, 16))
def test_enlarging_keeps_the_range_and_the_shape_of_the_image(height: int, width: int, size: int) -> None:
    picture = np.random.default_rng(0).random((2, height, width, 3), np.float32)
    large = enlarged(picture, size)
    assert min(large.shape[1:3]) == max(size, min(height, width))
    # Interpolation is convex; the sum of two float32 products may round past an end.
    assert picture.min() - 1e-6 <= large.min() <= large.max() <= picture.max() + 1e-6


def test_an_image_becomes_a_vector_in_row_major_order() -> None:
    data = images(bytes_of((9, 4, 3, 2)))
    flat, whole = adapt(data, "vector", 1, 512), adapt(data, "image", 1, 512)
    assert np.array_equal(flat.x_train, whole.x_train.reshape(9, -1))


def test_small_grey_images_become_their_own_pixels() -> None:
    x = bytes_of((5, 8, 8, 1)) % 17
    data = adapt(images(x, levels=17), "tokens", 1, 512)
    assert np.array_equal(data.x_train, x.reshape(5, 64))
    assert data.x_train.dtype == np.int32


def test_large_images_are_averaged_down() -> None:
    x = np.zeros((1, 32, 32, 3), np.uint8)
    x[:, :2, :2] = [[[30, 60, 90]]]
    data = adapt(images(x), "tokens", 1, 512)
    assert data.x_train.shape == (1, 256)
    assert (data.x_train[0, 0], data.x_train[0, 1]) == (60, 0)


@given(height=st.integers(1, 40), width=st.integers(1, 40), limit=st.integers(1, 300))
def test_pixels_never_exceed_the_models_length(height: int, width: int, limit: int) -> None:
    data = adapt(images(bytes_of((2, height, width, 3))), "tokens", 1, limit)
    assert 1 <= data.x_train.shape[1] <= limit
    assert 0 <= data.x_train.min() <= data.x_train.max() < 256


def test_float_images_are_cut_into_256_levels() -> None:
    x = np.linspace(-1, 1, 16).reshape(1, 4, 4, 1).astype(np.float32)
    data = adapt(images(x, levels=None), "tokens", 1, 512)
    assert (data.x_train.min(), data.x_train.max()) == (0, 255)


def test_long_sequences_are_refused() -> None:
    x = np.zeros((2, 600), np.int32)
    data = Dataset(
        name="words", kind="tokens", x_train=x, y_train=np.zeros(2, int), x_val=x, y_val=np.zeros(2, int), num_classes=2
    )
    with pytest.raises(ConfigError, match="words has sequences of 600 tokens, and the model takes 512"):
        adapt(data, "tokens", 1, 512)


@pytest.mark.parametrize(
    ("kind", "takes"), [("vector", "image"), ("vector", "tokens"), ("tokens", "image"), ("tokens", "vector")]
)
def test_what_has_no_meaning_is_refused(kind: Any, takes: str) -> None:
    assert not can_adapt(kind, takes)
    x = np.zeros((2, 4), np.float32)
    with pytest.raises(ConfigError, match="cannot be read as"):
        adapt(
            Dataset(
                name="d", kind=kind, x_train=x, y_train=np.zeros(2, int), x_val=x, y_val=np.zeros(2, int), num_classes=2
            ),
            takes,
            1,
            512,
        )


def test_fitting_names_the_data_sets() -> None:
    assert fitting("image", register_datasets()) == ["cifar10", "digits", "synthetic"]
    assert fitting("vector", register_datasets()) == ["breast_cancer", "cifar10", "digits", "synthetic"]
    assert fitting("tokens", register_datasets()) == ["cifar10", "digits", "digits-sequence", "synthetic"]
