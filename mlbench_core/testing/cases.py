"""What the kit runs: every layer of the vocabulary alone, small models, their weights and batches."""

from __future__ import annotations

from functools import partial

from attrs import evolve

from mlbench_core.architecture import (
    Activation,
    Architecture,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Gated,
    GlobalAveragePool2D,
    LayerNorm,
    LayerScale,
    Loss,
    MaxPool2D,
    MeanTokens,
    Optimizer,
    PositionEmbedding,
    Residual,
    RMSNorm,
    SegmentEmbedding,
    SelectToken,
    SelfAttention,
    Sequential,
    Shape,
    Tokens,
)
from mlbench_core.hookspecs import Batch
from mlbench_core.models.bert import bert, bert_base
from mlbench_core.models.mlp import mlp
from mlbench_core.models.resnet import resnet, resnet18, resnet34, resnet50
from mlbench_core.trial import Plan
from mlbench_core.verify import samples

RULES = {
    # Learning rates that float32 cannot hold, and large enough that ten steps of one kept in float32 show.
    "sgd": Optimizer(name="sgd", learning_rate=0.1, momentum=0.9),
    "adamw": Optimizer(name="adamw", learning_rate=0.001, weight_decay=0.1, epsilon=1e-6),
}

BATCH = 6
"""Samples per batch."""

VECTOR: Shape = (6,)
SEQUENCE: Shape = (5, 6)
IMAGE: Shape = (7, 6, 4)
"""Height and width differ, and one is odd, so that swapped axes and lopsided padding show."""


alone = partial(samples.alone, rule=RULES["sgd"])
"""A layer as a model, see `samples.alone`."""


NORMALISED = {
    "batchnorm-image": alone(BatchNorm(), IMAGE),
    "batchnorm-vector": alone(BatchNorm(), VECTOR),
    "batchnorm-sequence": alone(BatchNorm(), SEQUENCE),
    "batchnorm-settings": alone(BatchNorm(epsilon=0.1, momentum=0.6), IMAGE),
}

LAYERS = {
    "dense": alone(Dense(5), VECTOR),
    "dense-no-bias": alone(Dense(5, use_bias=False), VECTOR),
    "dense-sequence": alone(Dense(5), SEQUENCE),
    "conv-3x3": alone(Conv2D(5, 3, padding=1), IMAGE),
    "conv-3x3-valid": alone(Conv2D(5, 3, use_bias=False), IMAGE),
    "conv-3x3-stride2": alone(Conv2D(5, 3, stride=2, padding=1, use_bias=False), IMAGE),
    "conv-7x7-stride2": alone(Conv2D(5, 7, stride=2, padding=3), IMAGE),
    "conv-2x2-stride2": alone(Conv2D(5, 2, stride=2, padding=1), IMAGE),
    "conv-1x1-stride2": alone(Conv2D(5, 1, stride=2), IMAGE),
    "conv-groups": alone(Conv2D(6, 3, padding=1, groups=2), IMAGE),
    "conv-groups-stride2": alone(Conv2D(6, 3, stride=2, padding=1, groups=2, use_bias=False), IMAGE),
    "conv-depthwise": alone(Conv2D(8, 3, padding=1, groups=4), IMAGE),
    "layernorm-vector": alone(LayerNorm(), VECTOR),
    "layernorm-sequence": alone(LayerNorm(), SEQUENCE),
    "layernorm-image": alone(LayerNorm(), IMAGE),
    "layernorm-epsilon": alone(LayerNorm(epsilon=0.1), SEQUENCE),
    "rmsnorm-vector": alone(RMSNorm(), VECTOR),
    "rmsnorm-sequence": alone(RMSNorm(), SEQUENCE),
    "rmsnorm-image": alone(RMSNorm(), IMAGE),
    "rmsnorm-epsilon": alone(RMSNorm(epsilon=0.1), SEQUENCE),
    "layerscale-vector": alone(LayerScale(0.1), VECTOR),
    "layerscale-sequence": alone(LayerScale(0.1), SEQUENCE),
    "layerscale-image": alone(LayerScale(1e-6), IMAGE),
    "relu": alone(Activation("relu"), VECTOR),
    "gelu": alone(Activation("gelu"), SEQUENCE),
    "tanh": alone(Activation("tanh"), IMAGE),
    "silu": alone(Activation("silu"), SEQUENCE),
    "silu-image": alone(Activation("silu"), IMAGE),
    "maxpool-3-stride2": alone(MaxPool2D(3, 2, 1), IMAGE),
    "maxpool-2-stride2": alone(MaxPool2D(2, 2), IMAGE),
    "maxpool-3-stride1": alone(MaxPool2D(3, 1, 1), IMAGE),
    "averagepool": alone(GlobalAveragePool2D(), IMAGE),
    "flatten": alone(Sequential([Flatten(), Dense(3)]), IMAGE),
    "dropout-0": alone(Dropout(0.0), VECTOR),
    "select-first": alone(SelectToken(0), SEQUENCE),
    "select-last": alone(SelectToken(SEQUENCE[0] - 1), SEQUENCE),
    "positions": alone(PositionEmbedding(8), SEQUENCE),
    "segments": alone(SegmentEmbedding(3), SEQUENCE),
    "attention-1-head": alone(SelfAttention(1), SEQUENCE),
    "attention-3-heads": alone(SelfAttention(3), SEQUENCE),
    "attention-causal": alone(SelfAttention(3, causal=True), SEQUENCE),
    "tokens": alone(Tokens(), IMAGE),
    "patches": alone(Sequential([Conv2D(5, 2, stride=2), Tokens(), Dense(3)]), IMAGE),
    "mean-tokens": alone(MeanTokens(), SEQUENCE),
    "embedding": alone(Embedding(11, 4), (5,), tokens=True),
    "residual-identity": alone(Residual(Dense(VECTOR[0])), VECTOR),
    "residual-shortcut": alone(Residual(Conv2D(5, 3, 2, 1), Conv2D(5, 1, 2)), IMAGE),
    "gated": alone(Gated(Dense(5), Sequential([Dense(5), Activation("silu")])), SEQUENCE),
    "gated-image": alone(Gated(Conv2D(5, 3, 2, 1), Conv2D(5, 1, 2)), IMAGE),
    "nested": alone(Sequential([Sequential([Dense(5), Activation("tanh")]), Residual(Sequential([Dense(5)]))]), VECTOR),
    **NORMALISED,
}

DROPOUT_RATE = 0.25
DROPOUT = alone(Dropout(DROPOUT_RATE), (40, 50))

MODELS = {
    "mlp": mlp((9,), 4, hidden=(8, 6)),
    "resnet": resnet("resnet", (16, 16, 3), 4, depths=(2, 1), bottleneck=False, width=4),
    "resnet-bottleneck": resnet("resnet-bottleneck", (16, 16, 1), 4, depths=(1, 1), bottleneck=True, width=4),
    "bert": bert("bert", (7,), 4, depth=1, size=128, vocabulary=50),
}


WIDE = mlp((512,), 10, hidden=(1024,))
"""Half a million parameters, 2 MB in float32: enough that bytes cannot be mistaken for another unit."""

PUBLISHED = [
    (resnet18, (32, 32, 3), 1000, 11_689_512),
    (resnet18, (32, 32, 3), 10, 11_181_642),
    (resnet34, (32, 32, 3), 1000, 21_797_672),
    (resnet50, (32, 32, 3), 1000, 25_557_032),
    (bert_base, (16,), 2, 109_483_778),
]
"""Factory, input shape, classes, and the trainable parameters that the model's authors or zoos count."""


def random_batch(architecture: Architecture, seed: int = 0) -> Batch:
    """BATCH samples, see `samples.random_batch`."""
    return samples.random_batch(architecture, BATCH, seed)


def trained_with(architecture: Architecture, rule: str) -> Architecture:
    """The architecture without dropout and with the optimiser RULES[rule]."""
    return evolve(architecture.without_dropout(), optimizer=RULES[rule])


def with_no_such(setting: str, plan: Plan) -> Plan:
    """The plan with a precision, an execution or a loss that nobody has."""
    if setting == "loss":
        return evolve(plan, loss=Loss(name="no-such"))
    return evolve(plan, precision="no-such") if setting == "precision" else evolve(plan, execution="no-such")
