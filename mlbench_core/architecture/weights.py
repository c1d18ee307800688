"""Seeded initial weights: the same numbers for every framework, from NumPy."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from mlbench_core.architecture.layer import Constant, Normal, Parameter
from mlbench_core.architecture.tree import Architecture

Weights = dict[str, npt.NDArray[np.floating]]
"""Parameter path to array, in the layout of the tree (kernels HWIO and (in, out))."""


def initial_weights(architecture: Architecture, seed: int) -> Weights:
    """A float32 array per parameter. Each parameter has a generator of its own, seeded by (seed, path).

    So a parameter's numbers do not depend on which other parameters the model has. The values are float32 because a
    float64 model that starts from them starts from exactly the same point as a float32 one.
    """
    return {parameter.name: _draw(parameter, seed) for parameter in architecture.parameters()}


def _draw(parameter: Parameter, seed: int) -> npt.NDArray[np.floating]:
    init = parameter.init
    if isinstance(init, Constant):
        return np.full(parameter.shape, init.value, np.float32)
    path = int.from_bytes(hashlib.sha256(parameter.name.encode()).digest()[:8], "little")
    generator = np.random.default_rng([seed, path])
    if isinstance(init, Normal):
        return generator.standard_normal(parameter.shape, np.float32) * np.float32(init.std)
    return generator.uniform(-init.bound, init.bound, parameter.shape).astype(np.float32)
