"""A model is data: an immutable tree of layers that every framework lowers to its own."""

from mlbench_core.architecture.layer import (
    Binding,
    Constant,
    Initializer,
    Layer,
    Normal,
    Parameter,
    Shape,
    Site,
    Uniform,
)
from mlbench_core.architecture.layers import (
    Activation,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool2D,
    LayerNorm,
    MaxPool2D,
    Residual,
    Sequential,
)
from mlbench_core.architecture.sequences import (
    Embedding,
    PositionEmbedding,
    SegmentEmbedding,
    SelectToken,
    SelfAttention,
)
from mlbench_core.architecture.tree import Architecture, Optimizer, walk
from mlbench_core.architecture.weights import Weights, initial_weights

__all__ = [
    "Activation", "Architecture", "BatchNorm", "Binding", "Constant", "Conv2D", "Dense", "Dropout", "Embedding", "Flatten",
    "GlobalAveragePool2D", "Initializer", "Layer", "LayerNorm", "MaxPool2D", "Normal", "Optimizer", "Parameter",
    "PositionEmbedding", "Residual", "SegmentEmbedding", "SelectToken", "SelfAttention", "Sequential", "Shape", "Site",
    "Uniform", "Weights", "initial_weights", "walk",
]  # fmt: skip
