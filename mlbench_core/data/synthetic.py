"""Seeded data of any shape that a model can learn: each class has a prototype, each sample is its prototype plus noise."""

from __future__ import annotations

import re

import numpy as np

from mlbench_core.data.dataset import Array, DataRequest, Dataset
from mlbench_core.errors import ConfigError

DEFAULT_SHAPE = {"image": (32, 32, 3), "vector": (32,), "tokens": (64,)}
TOKEN_LEVELS = 64
NOISE = 1.0
APART = 6.0
"""Distance of prototypes in units of the noise: a sample is nearer to the wrong one of two with probability 0.0013."""
FORM = re.compile(r"(?P<shape>\d+(x\d+)*)?(/(?P<classes>\d+))?(@(?P<samples>\d+))?")
HELP = "synthetic:SHAPE/CLASSES@SAMPLES, every part optional, such as synthetic:224x224x3/1000@4096"


def synthetic(request: DataRequest) -> Dataset:
    """`synthetic`, or `synthetic:224x224x3/1000@4096`: shape of a sample, classes (10), training samples (2048).

    A quarter as many samples validate. Raises ConfigError if the text does not have that form, or its shape does not fit
    what the model takes.
    """
    match = FORM.fullmatch(request.argument)
    if match is None:
        raise ConfigError(f"dataset: 'synthetic:{request.argument}' does not have the form {HELP}")
    default = DEFAULT_SHAPE[request.takes]
    shape = tuple(int(n) for n in match["shape"].split("x")) if match["shape"] else default
    classes, samples = int(match["classes"] or 10), int(match["samples"] or 2048)
    if len(shape) != len(default) or min(shape) < 1 or classes < 2 or samples < 4:
        raise ConfigError(
            f"dataset: 'synthetic:{request.argument}' cannot be made for a model that takes {request.takes} data: a sample "
            f"needs {len(default)} sizes (such as {'x'.join(map(str, default))}), 2 classes or more and 4 samples or more"
        )
    generator = np.random.default_rng([request.seed, *shape, classes])
    y = generator.permutation(np.arange(samples + samples // 4) % classes)
    make = _tokens if request.takes == "tokens" else _noisy
    x = make(generator, shape, classes, y)
    return Dataset(
        name="synthetic",
        kind=request.takes,
        x_train=x[:samples],
        y_train=y[:samples],
        x_val=x[samples:],
        y_val=y[samples:],
        num_classes=classes,
    )


def _noisy(generator: np.random.Generator, shape: tuple[int, ...], classes: int, y: Array) -> Array:
    """The noise is small enough for the two closest prototypes to be told apart, in one dimension too."""
    prototypes = generator.standard_normal((classes, *shape), np.float32)
    x = generator.standard_normal((len(y), *shape), np.float32)
    x *= min(NOISE, _closest(prototypes) / APART)
    for label in range(classes):  # class by class: prototypes[y] would double the memory of a large data set
        x[y == label] += prototypes[label]
    return x


def _closest(prototypes: Array) -> float:
    """The smallest distance of two prototypes by their first 64 values: no more than by all, and quick for large images."""
    flat = prototypes.reshape(len(prototypes), -1)[:, :64].astype(np.float64)
    return min(float(np.linalg.norm(flat[i + 1 :] - flat[i], axis=1).min()) for i in range(len(flat) - 1))


def _tokens(generator: np.random.Generator, shape: tuple[int, ...], classes: int, y: Array) -> Array:
    """Half of the tokens come from their class's own eight, half from all."""
    own = generator.integers(0, TOKEN_LEVELS, (classes, 8))
    mine = own[y[:, None], generator.integers(0, 8, (len(y), *shape))]
    anything = generator.integers(0, TOKEN_LEVELS, (len(y), *shape))
    return np.where(generator.random((len(y), *shape)) < 0.5, mine, anything).astype(np.int32)
