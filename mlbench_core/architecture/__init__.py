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
    Gated,
    GlobalAveragePool2D,
    LayerNorm,
    LayerScale,
    MaxPool2D,
    Residual,
    RMSNorm,
    Sequential,
)
from mlbench_core.architecture.loss import CrossEntropy, Loss
from mlbench_core.architecture.optimizer import Optimizer, UpdateRule
from mlbench_core.architecture.sequences import (
    Embedding,
    MeanTokens,
    PositionEmbedding,
    SegmentEmbedding,
    SelectToken,
    SelfAttention,
    Tokens,
)
from mlbench_core.architecture.tree import Architecture, walk
from mlbench_core.architecture.weights import Weights, initial_weights

__all__ = [
    "Activation", "Architecture", "BatchNorm", "Binding", "Constant", "Conv2D", "CrossEntropy", "Dense", "Dropout",
    "Embedding", "Flatten", "Gated", "GlobalAveragePool2D", "Initializer", "Layer", "LayerNorm", "LayerScale", "Loss",
    "MaxPool2D", "MeanTokens", "Normal", "Optimizer", "Parameter", "PositionEmbedding", "RMSNorm", "Residual",
    "SegmentEmbedding", "SelectToken", "SelfAttention", "Sequential", "Shape", "Site", "Tokens", "Uniform", "UpdateRule",
    "Weights", "initial_weights", "walk",
]  # fmt: skip
