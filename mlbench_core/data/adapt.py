"""Adapts a data set to what a model takes, where that has a meaning."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from attrs import evolve

from mlbench_core.data.dataset import Array, Dataset
from mlbench_core.errors import ConfigError
from mlbench_core.hookspecs import DatasetDescriptor

MEANINGFUL = {("image", "image"), ("image", "vector"), ("image", "tokens"), ("vector", "vector"), ("tokens", "tokens")}
MAX_PIXEL_TOKENS = 256
"""A longer sequence of pixels is first averaged down: attention's cost grows with the square of the length."""


def can_adapt(kind: str, takes: str) -> bool:
    """Whether data of a kind can be read as what a model takes."""
    return kind == "any" or (kind, takes) in MEANINGFUL


def fitting(takes: str, descriptors: Iterable[DatasetDescriptor]) -> list[str]:
    """The names of the data sets that fit a model."""
    return sorted(d.name for d in descriptors if d.name != "file" and can_adapt(d.kind, takes))


def adapt(data: Dataset, takes: str, min_image: int, max_length: int) -> Dataset:
    """The data set with samples as the model takes them: float32 images or vectors, int32 tokens; labels int32.

    Images: scaled, standardised per channel by the training part, enlarged to `min_image` pixels a side if they are smaller.
    Vectors: as they are, or standardised images in one row. Tokens: as they are, or the grey levels of an image's pixels, row
    by row, averaged down to at most 256 of them. Raises ConfigError where that has no meaning.
    """
    if not can_adapt(data.kind, takes):
        raise ConfigError(f"dataset: {data.name} holds {data.kind} data, which cannot be read as {takes} data")
    data = evolve(data, y_train=data.y_train.astype(np.int32), y_val=data.y_val.astype(np.int32))
    if takes == "tokens":
        return _as_tokens(data, max_length)
    if data.kind == "image":
        data = _standardised(data)
        if takes == "image":
            return evolve(data, x_train=enlarged(data.x_train, min_image), x_val=enlarged(data.x_val, min_image))
    train, val = (np.ascontiguousarray(x, np.float32).reshape(len(x), -1) for x in (data.x_train, data.x_val))
    return evolve(data, kind="vector", x_train=train, x_val=val)


def _standardised(data: Dataset) -> Dataset:
    train, val = data.x_train.astype(np.float32), data.x_val.astype(np.float32)
    if data.levels is not None:
        train /= data.levels - 1
        val /= data.levels - 1
    mean, std = _statistics(train)
    for x in (train, val):  # in place: a second copy of a large data set may not fit
        x -= mean
        x /= np.where(std > 0, std, 1.0)
    return evolve(data, x_train=train, x_val=val, levels=None)


def _statistics(images: Array) -> tuple[Array, Array]:
    """Mean and standard deviation per channel, float64, a few images at a time for the same reason."""
    parts = [images[start : start + 64] for start in range(0, len(images), 64)]
    count = images[..., 0].size
    mean: Array = sum(part.sum(axis=0, dtype=np.float64) for part in parts).sum(axis=(0, 1)) / count
    squares: Array = sum(((part - mean) ** 2).sum(axis=0) for part in parts).sum(axis=(0, 1))
    return mean, np.sqrt(squares / count)


def enlarged(images: Array, size: int) -> Array:
    """Images (n, height, width, channels) enlarged so that the shorter side is at least `size`, by bilinear interpolation.

    Pixel centres are at halves, edges are repeated: the convention of every framework's `align_corners=False`.
    """
    height, width = images.shape[1:3]
    if min(height, width) >= size:
        return images
    factor = size / min(height, width)
    return _resized(_resized(images, 1, round(height * factor)), 2, round(width * factor))


def _resized(images: Array, axis: int, size: int) -> Array:
    old = images.shape[axis]
    place = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, old - 1)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, old - 1)
    weight = (place - low).astype(images.dtype).reshape([-1 if i == axis else 1 for i in range(images.ndim)])
    resized: Array = images.take(low, axis) * (1 - weight) + images.take(high, axis) * weight
    return resized


def _as_tokens(data: Dataset, max_length: int) -> Dataset:
    x_train, x_val = data.x_train, data.x_val
    if data.kind == "image":
        x_train, x_val = _pixels(data, min(max_length, MAX_PIXEL_TOKENS))
    if x_train.shape[1] > max_length:
        raise ConfigError(
            f"dataset: {data.name} has sequences of {x_train.shape[1]} tokens, and the model takes {max_length} at most"
        )
    return evolve(data, kind="tokens", x_train=x_train.astype(np.int32), x_val=x_val.astype(np.int32), levels=None)


def _pixels(data: Dataset, limit: int) -> tuple[Array, Array]:
    """The grey levels of an image's pixels; float images are first cut into 256 levels between their extremes."""
    images, levels = [data.x_train, data.x_val], data.levels
    if levels is None:
        low, high = float(data.x_train.min()), float(data.x_train.max())
        scale = 255 / (high - low or 1.0)
        images, levels = [np.clip((x - low) * scale, 0, 255) for x in images], 256
    height, width = data.x_train.shape[1:3]
    block = max(1, math.ceil(math.sqrt(height * width / limit)))
    while math.ceil(height / block) * math.ceil(width / block) > limit:
        block += 1
    train, val = (_grey_means(x, block) for x in images)
    return train, val


def _grey_means(images: Array, block: int) -> Array:
    """The rounded mean of each block x block patch and its channels; a patch that sticks out repeats the edge."""
    height, width = images.shape[1:3]
    grey = images.astype(np.float32).mean(axis=3)
    grey = np.pad(grey, ((0, 0), (0, -height % block), (0, -width % block)), mode="edge")
    patches = grey.reshape(len(grey), grey.shape[1] // block, block, grey.shape[2] // block, block)
    levels: Array = np.rint(patches.mean(axis=(2, 4))).reshape(len(grey), -1)
    return levels
