"""Layers explain themselves: shapes, parameters and MACs against closed forms, and errors that name the place."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    Layer,
    LayerNorm,
    LayerScale,
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
    initial_weights,
)
from mlbench_core.errors import ArchitectureError

SGD = Optimizer(name="sgd", learning_rate=0.1)


def size(layer: Layer, shape: Shape) -> int:
    return sum(parameter.size for parameter in layer.parameters(shape))


@pytest.mark.parametrize(
    ("layer", "shape", "out", "parameters", "macs"),
    [
        (Dense(5), (3,), (5,), 3 * 5 + 5, 15),
        (Dense(5, use_bias=False), (7, 3), (7, 5), 15, 7 * 15),
        (Conv2D(4, 3, padding=1), (8, 8, 2), (8, 8, 4), 9 * 2 * 4 + 4, 64 * 4 * 9 * 2),
        (Conv2D(4, 3, stride=2, groups=2, use_bias=False), (7, 7, 2), (3, 3, 4), 9 * 4, 9 * 4 * 9),
        (BatchNorm(), (8, 8, 2), (8, 8, 2), 8, 0),
        (LayerNorm(), (8, 6), (8, 6), 12, 0),
        (RMSNorm(), (8, 6), (8, 6), 6, 0),
        (LayerScale(0.1), (8, 8, 3), (8, 8, 3), 3, 0),
        (Activation("relu"), (8,), (8,), 0, 0),
        (MaxPool2D(3, 2, 1), (112, 112, 64), (56, 56, 64), 0, 0),
        (GlobalAveragePool2D(), (7, 7, 512), (512,), 0, 0),
        (Flatten(), (2, 3, 4), (24,), 0, 0),
        (Embedding(10, 4), (6,), (6, 4), 40, 0),
        (PositionEmbedding(9), (6, 4), (6, 4), 36, 0),
        (SegmentEmbedding(2), (6, 4), (6, 4), 8, 0),
        (SelfAttention(2), (6, 4), (6, 4), 4 * (16 + 4), 4 * 6 * 16 + 2 * 36 * 4),
        (SelfAttention(2, causal=True), (6, 4), (6, 4), 4 * (16 + 4), 4 * 6 * 16 + 2 * 36 * 4),
        (SelectToken(0), (6, 4), (4,), 0, 0),
        (MeanTokens(), (6, 4), (4,), 0, 0),
        (Tokens(), (2, 3, 4), (6, 4), 0, 0),
        (Dropout(0.5), (6, 4), (6, 4), 0, 0),
        (Sequential([Dense(5), Dense(2)]), (3,), (2,), 0, 0),
        (Residual(Dense(3)), (3,), (3,), 0, 0),
        (Gated(Dense(5), Dense(5)), (3,), (5,), 0, 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Layer) else None,
)
def test_closed_forms(layer: Layer, shape: Shape, out: Shape, parameters: int, macs: int) -> None:
    assert layer.output_shape(shape) == out
    assert size(layer, shape) == parameters
    assert layer.macs(shape) == macs


@given(
    height=st.integers(1, 20),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
)
def test_convolution_covers_every_whole_window(height: int, kernel: int, stride: int, padding: int) -> None:
    starts = [
        i for i in range(-padding, height + padding) if (i + padding) % stride == 0 and i + kernel <= height + padding
    ]
    layer = Conv2D(2, kernel, stride, padding)
    if starts:
        assert layer.output_shape((height, height, 3)) == (len(starts), len(starts), 2)
    else:
        with pytest.raises(ArchitectureError, match="does not fit"):
            layer.output_shape((height, height, 3))


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        (Conv2D(4, 3), (8, 8), "Conv2D takes samples of shape"),
        (Conv2D(4, 3, groups=3), (8, 8, 3), "do not divide into 3 groups"),
        (Residual(Dense(4)), (3,), "adds shapes that differ"),
        (Gated(Dense(4), Dense(3)), (3,), "multiplies shapes that differ: body \\(4,\\), gate \\(3,\\)"),
        (Tokens(), (6, 4), "Tokens takes samples of shape"),
        (MeanTokens(), (6,), "MeanTokens takes samples of shape"),
        (SelfAttention(3), (6, 4), "do not divide into 3 heads"),
        (PositionEmbedding(5), (6, 4), "holds 5 positions"),
        (SelectToken(6), (6, 4), "position 6 of a sequence of 6"),
        (Dense(3), (), "at least one axis"),
        (Sequential({"a": Flatten(), "b": Conv2D(4, 3)}), (8, 8, 3), "b: Conv2D takes"),
    ],
)
def test_a_shape_that_does_not_fit_is_an_error_that_says_where(layer: Layer, shape: Shape, words: str) -> None:
    with pytest.raises(ArchitectureError, match=words):
        layer.output_shape(shape)


def test_an_architecture_must_return_its_logits() -> None:
    with pytest.raises(ArchitectureError, match=r"returns \(3,\) per sample, not 2 logits"):
        Architecture(name="wrong", root=Dense(3), input_shape=(4,), num_classes=2, optimizer=SGD)


def test_nonsense_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="features"):
        Dense(0)
    with pytest.raises(ValueError, match="rate"):
        Dropout(1.0)


def test_parameter_names_are_paths() -> None:
    tree = Sequential({"a": Residual(Sequential([Dense(4)]), Dense(4)), "head": Dense(2)})
    names = [
        p.name for p in Architecture(name="m", root=tree, input_shape=(4,), num_classes=2, optimizer=SGD).parameters()
    ]
    assert names == [
        "a.body.0.kernel", "a.body.0.bias", "a.shortcut.kernel", "a.shortcut.bias", "head.kernel", "head.bias",
    ]  # fmt: skip


def test_a_gate_counts_both_sides_and_names_them() -> None:
    tree = Sequential({"gated": Gated(Dense(6), Sequential([Dense(6), Activation("silu")])), "head": Dense(2)})
    model = Architecture(name="m", root=tree, input_shape=(4,), num_classes=2, optimizer=SGD)
    assert [p.name for p in model.parameters()][:4] == [
        "gated.body.kernel", "gated.body.bias", "gated.gate.0.kernel", "gated.gate.0.bias",
    ]  # fmt: skip
    assert model.macs == 2 * 4 * 6 + 6 * 2


def test_a_layer_scale_starts_where_it_is_told() -> None:
    tree = Sequential([LayerScale(0.25), Dense(2)])
    model = Architecture(name="m", root=tree, input_shape=(4,), num_classes=2, optimizer=SGD)
    assert initial_weights(model, 0)["0.scale"].tolist() == [0.25] * 4


def test_without_dropout_changes_nothing_else() -> None:
    tree = Sequential([Residual(Sequential([Dropout(0.3), Dense(4)])), Dropout(0.2), Dense(2)])
    model = Architecture(name="m", root=tree, input_shape=(4,), num_classes=2, optimizer=SGD)
    still = model.without_dropout()
    assert not any(isinstance(layer, Dropout) and layer.rate for _, layer, _ in still.walk())
    assert still.parameters() == model.parameters()
    assert still.digest != model.digest


def test_flops_of_training_are_three_forward_passes() -> None:
    model = Architecture(name="m", root=Dense(2), input_shape=(4,), num_classes=2, optimizer=SGD)
    assert (model.flops("infer"), model.flops("train")) == (16, 48)


def test_only_matrices_decay() -> None:
    rule = Optimizer(name="adamw", learning_rate=0.1, weight_decay=0.01)
    assert [rule.decays(p) for p in Dense(3).parameters((2,))] == [True, False]
    assert math.isclose(sum(SGD.decays(p) for p in Dense(3).parameters((2,))), 0)
