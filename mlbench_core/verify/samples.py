"""What the ladder computes on: scattered weights, random batches, and each kind of layer of a model alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from attrs import asdict, evolve

from mlbench_core.architecture import (
    Architecture,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Layer,
    Optimizer,
    Residual,
    Sequential,
    Shape,
    UpdateRule,
    Weights,
    initial_weights,
)
from mlbench_core.architecture.tree import rebuilt, without_dropout
from mlbench_core.errors import ArchitectureError
from mlbench_core.hookspecs import Batch

PROTOTYPES, LEAN = 99, np.float32(2)
"""The seed of the prototypes, and how far a sample leans towards its own: twice its noise."""
RULE = Optimizer(name="sgd", learning_rate=2**-5)
SMALL = (7, 6)
"""A layer alone gets at most this many rows (or positions) and columns. They differ and one is even, so that swapped axes and
lopsided padding show: under a stride of 2, "same" padding is symmetric where the size is odd."""
SIZES = {"features", "vocabulary", "init", "max_length", "segments"}
"""Fields of a layer that say how large it is, not what it does: layers that differ in nothing else are checked once."""


def scattered_weights(architecture: Architecture, seed: int = 0) -> Weights:
    """The initial weights, each moved by up to 0.3, so that no bias is 0 and no scale or running variance is 1."""
    generator = np.random.default_rng(seed)
    return {
        name: value + generator.uniform(-0.3, 0.3, value.shape).astype(np.float32)
        for name, value in initial_weights(architecture, seed).items()
    }


def random_batch(architecture: Architecture, size: int, seed: int) -> Batch:
    """Normal samples, or uniform token ids within the smallest vocabulary; uniform labels."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, architecture.num_classes, size).astype(np.int32)
    shape = (size, *architecture.input_shape)
    if architecture.input_kind == "float":
        return Batch(generator.standard_normal(shape, np.float32), labels)
    vocabularies = [layer.vocabulary for _, layer, _ in architecture.walk() if isinstance(layer, Embedding)]
    return Batch(generator.integers(0, min(vocabularies, default=2), shape).astype(np.int32), labels)


def learnable_batch(architecture: Architecture, size: int, seed: int) -> Batch:
    """A random batch whose samples lean towards their label's prototype (float) or hold it as their first token.

    Training on noise is chaotic: with 8 random samples a batch, ResNet-18 amplifies a perturbation 6e8 times in 25 steps,
    with 16 learnable ones 8 times (both measured). Parity needs the second kind.
    """
    batch = random_batch(architecture, size, seed)
    if architecture.input_kind == "tokens":
        x = batch.x.copy()
        x[:, 0] = batch.y
        return Batch(x, batch.y)
    prototypes = np.random.default_rng(PROTOTYPES).standard_normal(
        (architecture.num_classes, *architecture.input_shape)
    )
    return Batch(batch.x + LEAN * prototypes[batch.y].astype(np.float32), batch.y)


def alone(layer: Layer, shape: Shape, tokens: bool = False, rule: UpdateRule = RULE) -> Architecture:
    """The layer for samples of `shape`; its flattened output is the logits.

    Unless it takes tokens, a Dense comes before it: the gradient by the input then depends on the layer's own, and no model is
    without parameters (some optimisers refuse to train nothing).
    """
    before = {} if tokens else {"before": Dense(shape[-1])}
    root = Sequential({**before, "layer": layer, "flatten": Flatten()})
    kind: Any = "tokens" if tokens else "float"
    return Architecture(
        name="alone",
        root=root,
        input_shape=shape,
        num_classes=math.prod(root.output_shape(shape)),
        optimizer=rule,
        input_kind=kind,
    )


def layers_alone(architecture: Architecture) -> Iterator[tuple[str, Architecture]]:
    """Each kind of layer in the model once, by the path where it first stands, on small samples."""
    seen = set()
    for path, layer, shape in architecture.walk():
        if isinstance(layer, (Sequential, Residual)):
            continue  # what they are made of is checked here, how they join it by the whole model
        settings = {key: value for key, value in asdict(layer, recurse=False).items() if key not in SIZES}
        signature = (type(layer), repr(settings), len(shape))
        if signature not in seen:
            seen.add(signature)
            tokens = architecture.input_kind == "tokens" and len(shape) == 1 and isinstance(layer, Embedding)
            # What a container drops at random is checked where the walk comes to it.
            yield path, small(layer if isinstance(layer, Dropout) else without_dropout(layer), shape, tokens)


def small(layer: Layer, shape: Shape, tokens: bool = False) -> Architecture:
    """The layer alone on a small sample, or on one of `shape` where it takes no smaller one."""
    axes = shape if tokens else shape[:-1]
    fewer = tuple(min(size, SMALL[place % 2]) for place, size in enumerate(axes))
    try:
        return alone(layer, fewer if tokens else (*fewer, shape[-1]), tokens)
    except ArchitectureError:
        return alone(layer, shape, tokens)


TOO_LARGE = 30_000_000
"""Trainable parameters; a larger model is verified with one of each run of equal blocks: float64 training takes long."""


def affordable(architecture: Architecture) -> Architecture:
    """The architecture itself, or if it is too large its depth-scaled variant."""
    return depth_scaled(architecture) if architecture.num_parameters > TOO_LARGE else architecture


def depth_scaled(architecture: Architecture) -> Architecture:
    """The architecture with one of each run of equal blocks: every kind of block is left, and rounding passes fewer of them."""
    return evolve(architecture, root=slim(architecture.root))


def slim(layer: Layer) -> Layer:
    """The layer with every run of equal neighbours in a Sequential reduced to one (a BERT's blocks, a ResNet stage's)."""
    layer = rebuilt(layer, slim)
    if not isinstance(layer, Sequential):
        return layer
    kept = [
        (name, child)
        for place, (name, child) in enumerate(layer.layers)
        if not place or child != layer.layers[place - 1][1]
    ]
    return layer if len(kept) == len(layer.layers) else Sequential(kept)
