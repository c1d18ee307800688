"""BERT encoders for sequence classification: Devlin et al. 2018 (arXiv:1810.04805); sizes tiny and mini: Turc et al. 2019
(arXiv:1908.08962).

Post-norm, exact GELU, segment embedding (all tokens in segment 0), pooler on the first token. bert-base with 2 classes has
109,483,778 trainable parameters.
"""

from __future__ import annotations

import math

from mlbench_core.architecture import (
    Activation,
    Architecture,
    Dense,
    Dropout,
    Embedding,
    Layer,
    LayerNorm,
    Normal,
    Optimizer,
    PositionEmbedding,
    Residual,
    SegmentEmbedding,
    SelectToken,
    SelfAttention,
    Sequential,
    Shape,
)

VOCABULARY = 30522
MAX_LENGTH = 512


def _block(size: int, heads: int, init: Normal, dropout: float) -> Sequential:
    attention = Sequential({"attention": SelfAttention(heads, init), "dropout": Dropout(dropout)})
    feed_forward = Sequential(
        {
            "up": Dense(4 * size, init=init),
            "gelu": Activation("gelu"),
            "down": Dense(size, init=init),
            "dropout": Dropout(dropout),
        }
    )
    return Sequential(
        {
            "self": Residual(attention),
            "norm1": LayerNorm(),
            "feed_forward": Residual(feed_forward),
            "norm2": LayerNorm(),
        }
    )


def bert(
    name: str,
    input_shape: Shape,
    num_classes: int,
    depth: int,
    size: int,
    vocabulary: int = VOCABULARY,
    dropout: float = 0.0,
) -> Architecture:
    """An encoder of `depth` blocks of `size` features with size / 64 heads. Input (length,) token ids.

    Kernels start with a standard deviation of 1/sqrt(size): BERT's own 0.02, meant for 768 features, leaves a narrow model's
    blocks almost without effect, and it learns slowly.
    """
    init = Normal(1 / math.sqrt(size))
    layers: dict[str, Layer] = {
        "tokens": Embedding(vocabulary, size),
        "positions": PositionEmbedding(MAX_LENGTH),
        "segments": SegmentEmbedding(2),
        "norm": LayerNorm(),
        "dropout": Dropout(dropout),
    }
    layers |= {f"block{i}": _block(size, size // 64, init, dropout) for i in range(depth)}
    layers |= {
        "first": SelectToken(0),
        "pooler": Dense(size, init=init),
        "tanh": Activation("tanh"),
        "head_dropout": Dropout(dropout),
        "head": Dense(num_classes, init=init),
    }
    optimizer = Optimizer(name="adamw", learning_rate=2**-12, weight_decay=0.01, epsilon=1e-6)
    return Architecture(
        name=name,
        root=Sequential(layers),
        input_shape=input_shape,
        num_classes=num_classes,
        optimizer=optimizer,
        input_kind="tokens",
    )


def bert_tiny(input_shape: Shape, num_classes: int) -> Architecture:
    """2 blocks of 128 features. No dropout: frameworks cannot share its random numbers, so accuracies would differ."""
    return bert("bert-tiny", input_shape, num_classes, depth=2, size=128)


def bert_mini(input_shape: Shape, num_classes: int) -> Architecture:
    """4 blocks of 256 features, no dropout."""
    return bert("bert-mini", input_shape, num_classes, depth=4, size=256)


def bert_base(input_shape: Shape, num_classes: int) -> Architecture:
    """12 blocks of 768 features, dropout 0.1 as published."""
    return bert("bert-base", input_shape, num_classes, depth=12, size=768, dropout=0.1)
