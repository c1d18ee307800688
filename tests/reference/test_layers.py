"""Every layer of the reference against a closed form written another way, and against finite differences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate2d
from scipy.stats import norm

from mlbench_core import architecture as tree
from mlbench_core.architecture import Architecture, Layer, Site
from mlbench_core.reference import plugin
from mlbench_core.reference.lowering import lower
from mlbench_core.reference.module import Mode, Module, Variable
from mlbench_core.testing import cases
from mlbench_core.trial import Plan
from mlbench_core.verify.samples import scattered_weights

TRAINING = Mode(training=True, generator=np.random.default_rng(0))
EVALUATION = Mode(training=False, generator=np.random.default_rng(0))
EXACT = 1e-12  # two ways to sum a few hundred float64 products

sizes = st.integers(1, 4)
seeds = st.integers(0, 2**32 - 1)


def lowered(layer: Layer, x: Any, seed: int = 0) -> tuple[Module, dict[str, Variable]]:
    """The layer in float64 with normal weights; running variances are positive."""
    site: Site[Variable] = Site(x.shape[1:])
    module = lower(layer, site)
    generator = np.random.default_rng(seed)
    variables = {path: binding.native for path, binding in site.bindings.items()}
    for path, variable in variables.items():
        value = generator.standard_normal(variable.shape)
        variable.value = np.abs(value) + 0.5 if path.endswith("var") else value
    return module, variables


def normal(*shape: int, seed: int = 1) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


def assert_gradients_match_differences(module: Module, variables: dict[str, Variable], x: Any) -> None:
    """The derivative of <output, dy> along random directions of x and of each parameter.

    Central differences with a step of 1e-6 are off by 1e-12 (the third derivative) and by 1e-10 (rounding, 1e-16 / 1e-6).
    """
    generator = np.random.default_rng(2)
    running = {path: variable.value for path, variable in variables.items() if not variable.trainable}

    def forward() -> Any:
        y = module.forward(x, TRAINING)
        for path, value in running.items():
            variables[path].value = value
        return y

    dy = generator.standard_normal(forward().shape)
    dx = module.backward(dy)
    pairs = [(x, dx)] if x.dtype.kind == "f" else []
    pairs += [(variable.value, variable.grad) for variable in variables.values() if variable.trainable]
    for value, gradient in pairs:
        assert gradient.shape == value.shape
        for _ in range(3):
            direction = generator.standard_normal(value.shape)
            kept, step = value.copy(), 1e-6
            value += step * direction
            above = np.sum(forward() * dy)
            value -= 2 * step * direction
            below = np.sum(forward() * dy)
            value[...] = kept
            scale = np.abs(gradient).sum() + np.abs(above) + 1
            assert abs((above - below) / (2 * step) - np.sum(gradient * direction)) < 1e-7 * scale


def assert_close(found: Any, expected: Any) -> None:
    assert found.shape == expected.shape
    assert np.max(np.abs(found - expected)) <= EXACT * max(1.0, np.max(np.abs(expected)))


@pytest.mark.parametrize("name", sorted(cases.LAYERS))
def test_finite_differences_of_every_case_of_the_kit(name: str) -> None:
    architecture = cases.LAYERS[name]
    batch = cases.random_batch(architecture)
    x = batch.x if architecture.input_kind == "tokens" else batch.x.astype(np.float64)
    module, variables = lowered(architecture.root, x)
    assert_gradients_match_differences(module, variables, x)


def test_the_kit_covers_the_vocabulary() -> None:
    vocabulary = {getattr(tree, name) for name in tree.__all__}
    layers = {kind for kind in vocabulary if isinstance(kind, type) and issubclass(kind, Layer)} - {Layer}
    covered = {type(layer) for case in cases.LAYERS.values() for _, layer, _ in case.walk()}
    assert covered == layers


@given(batch=sizes, shape=st.lists(sizes, max_size=2), channels=sizes, features=sizes, bias=st.booleans(), seed=seeds)
@settings(max_examples=20, deadline=None)
def test_dense(batch: int, shape: list[int], channels: int, features: int, bias: bool, seed: int) -> None:
    x = normal(batch, *shape, channels, seed=seed)
    module, variables = lowered(tree.Dense(features, use_bias=bias), x, seed)
    expected = np.einsum("...i,io->...o", x, variables["kernel"].value)
    assert_close(module.forward(x, TRAINING), expected + (variables["bias"].value if bias else 0))
    assert_gradients_match_differences(module, variables, x)


@st.composite
def windows(draw: st.DrawFn) -> tuple[int, int, int, int, int]:
    """(height, width, kernel, stride, padding) such that at least one window fits, and each holds a pixel."""
    kernel = draw(st.integers(1, 4))
    padding = draw(st.integers(0, kernel // 2))
    smallest = max(1, kernel - 2 * padding)
    size = st.integers(smallest, smallest + 5)
    return draw(size), draw(size), kernel, draw(st.integers(1, 3)), padding


@given(window=windows(), batch=sizes, groups=st.integers(1, 3), per_in=sizes, per_out=sizes, seed=seeds)
@settings(max_examples=40, deadline=None)
def test_convolution(
    window: tuple[int, int, int, int, int], batch: int, groups: int, per_in: int, per_out: int, seed: int
) -> None:
    height, width, size, stride, padding = window
    x = normal(batch, height, width, groups * per_in, seed=seed)
    module, variables = lowered(tree.Conv2D(groups * per_out, size, stride, padding, groups), x, seed)
    kernel = variables["kernel"].value
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    out = np.zeros(
        (batch, *tree.Conv2D(1, size, stride, padding).output_shape((height, width, 1))[:2], groups * per_out)
    )
    for n in range(batch):
        for feature in range(groups * per_out):
            first = feature // per_out * per_in  # the first input channel of this feature's group
            for channel in range(per_in):
                image = padded[n, :, :, first + channel]
                out[n, :, :, feature] += correlate2d(image, kernel[:, :, channel, feature], "valid")[::stride, ::stride]
    assert_close(module.forward(x, TRAINING), out + variables["bias"].value)
    assert_gradients_match_differences(module, variables, x)


@given(window=windows(), batch=sizes, channels=sizes, seed=seeds)
@settings(max_examples=40, deadline=None)
def test_max_pool(window: tuple[int, int, int, int, int], batch: int, channels: int, seed: int) -> None:
    height, width, size, stride, padding = window
    x = normal(batch, height, width, channels, seed=seed)
    layer = tree.MaxPool2D(size, stride, padding)
    module, _ = lowered(layer, x)
    y = module.forward(x, TRAINING)
    assert y.shape[1:] == layer.output_shape(x.shape[1:])
    for i, j in np.ndindex(*y.shape[1:3]):
        top, left = i * stride - padding, j * stride - padding
        pixels = x[:, max(top, 0) : top + size, max(left, 0) : left + size]
        assert np.array_equal(y[:, i, j], pixels.max((1, 2)))
    assert_gradients_match_differences(module, {}, x)


def test_max_pool_gives_the_gradient_of_a_tie_to_the_first() -> None:
    x = np.ones((1, 2, 2, 1))
    module, _ = lowered(tree.MaxPool2D(2, 2), x)
    module.forward(x, TRAINING)
    assert module.backward(np.full((1, 1, 1, 1), 3.0)).ravel().tolist() == [3, 0, 0, 0]


@given(batch=st.integers(2, 5), shape=st.lists(sizes, max_size=2), channels=sizes, seed=seeds)
@settings(max_examples=20, deadline=None)
def test_batch_norm(batch: int, shape: list[int], channels: int, seed: int) -> None:
    x = normal(batch, *shape, channels, seed=seed)
    module, variables = lowered(tree.BatchNorm(epsilon=1e-3, momentum=0.7), x, seed)
    scale, bias, mean, var = (variables[name].value for name in ("scale", "bias", "mean", "var"))
    assert_close(module.forward(x, EVALUATION), (x - mean) / np.sqrt(var + 1e-3) * scale + bias)
    assert variables["mean"].value is mean
    assert_gradients_match_differences(module, variables, x)
    axes = tuple(range(x.ndim - 1))
    batch_var = (x**2).mean(axes) - x.mean(axes) ** 2
    assert_close(module.forward(x, TRAINING), (x - x.mean(axes)) / np.sqrt(batch_var + 1e-3) * scale + bias)
    assert_close(variables["mean"].value, 0.7 * mean + 0.3 * x.mean(axes))
    assert_close(variables["var"].value, 0.7 * var + 0.3 * batch_var)


def test_running_variance_is_biased() -> None:
    # Values 1, 2, 3, 6: mean 3, squares 4 + 1 + 0 + 9 = 14, so the biased variance is 3.5 (the unbiased one 14 / 3).
    x = np.array([[1.0], [2.0], [3.0], [6.0]])
    module, variables = lowered(tree.BatchNorm(), x)
    variables["mean"].value, variables["var"].value = np.zeros(1), np.ones(1)
    module.forward(x, TRAINING)
    assert variables["mean"].value == pytest.approx([0.3], rel=1e-15)
    assert variables["var"].value == pytest.approx([0.9 + 0.35], rel=1e-15)


@given(batch=sizes, shape=st.lists(sizes, max_size=2), channels=st.integers(2, 6), seed=seeds)
@settings(max_examples=20, deadline=None)
def test_layer_norm(batch: int, shape: list[int], channels: int, seed: int) -> None:
    x = normal(batch, *shape, channels, seed=seed)
    module, variables = lowered(tree.LayerNorm(epsilon=0.01), x, seed)
    y = module.forward(x, TRAINING)
    for index in np.ndindex(*x.shape[:-1]):
        row = x[index]
        expected = (row - np.mean(row)) / math.sqrt(np.var(row) + 0.01)
        assert_close(y[index], expected * variables["scale"].value + variables["bias"].value)
    assert_gradients_match_differences(module, variables, x)


def test_rms_norm_divides_by_the_root_mean_square() -> None:
    # Squares 9 and 16: mean 12.5, and with an epsilon of 3.5 the root is 4.
    x = np.array([[3.0, 4.0]])
    module, variables = lowered(tree.RMSNorm(epsilon=3.5), x)
    variables["scale"].value = np.array([2.0, -1.0])
    assert module.forward(x, TRAINING).tolist() == [[1.5, -1.0]]
    # dx = (dz - z mean(dz z)) / 4 with z = (3/4, 1), dz = (2, 0): mean(dz z) = 3/4, so (2 - 9/16, -3/4) / 4.
    assert module.backward(np.array([[1.0, 0.0]])).tolist() == [[(2 - 9 / 16) / 4, -3 / 16]]
    assert variables["scale"].grad.tolist() == [0.75, 0.0]


def test_layer_scale_and_gate() -> None:
    x = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    module, variables = lowered(tree.LayerScale(0.5), x)
    variables["scale"].value = np.array([10.0, -1.0])
    assert module.forward(x, TRAINING).tolist() == [[[10, -2], [30, -4]]]
    assert module.backward(np.ones_like(x)).tolist() == [[[10, -1], [10, -1]]]
    assert variables["scale"].grad.tolist() == [4, 6]

    gated, variables = lowered(tree.Gated(tree.LayerScale(1.0), tree.LayerScale(1.0)), x)
    variables["body.scale"].value, variables["gate.scale"].value = np.array([2.0, 1.0]), np.array([5.0, 1.0])
    assert gated.forward(x, TRAINING).tolist() == [[[10, 4], [90, 16]]]
    assert gated.backward(np.ones_like(x)).tolist() == [[[20, 4], [60, 8]]]


def test_silu() -> None:
    x = np.array([[-800.0, -1.0, 0.0, math.log(3), 800.0]])
    y = lowered(tree.Activation("silu"), x)[0].forward(x, TRAINING)
    assert_close(y, np.array([[0.0, -1 / (1 + math.e), 0.0, 0.75 * math.log(3), 800.0]]))


def test_activations() -> None:
    x = np.array([[-3.0, -1.0, 0.0, 0.5, 8.0]])
    values = {name: lowered(tree.Activation(name), x)[0].forward(x, TRAINING) for name in ("relu", "gelu", "tanh")}
    assert values["relu"].tolist() == [[0, 0, 0, 0.5, 8]]
    assert_close(values["tanh"], (np.exp(2 * x) - 1) / (np.exp(2 * x) + 1))
    assert_close(values["gelu"], x * norm.cdf(x))
    # 0.5 * (1 + erf(1 / sqrt(2))) from a table of the normal distribution; the tanh approximation gives 0.8412.
    assert lowered(tree.Activation("gelu"), x)[0].forward(np.ones((1, 1)), TRAINING) == pytest.approx(
        0.8413447460685429
    )


def test_slope_of_relu_at_zero_is_zero() -> None:
    x = np.zeros((1, 1))
    module, _ = lowered(tree.Activation("relu"), x)
    module.forward(x, TRAINING)
    assert module.backward(np.ones((1, 1))) == 0


@given(batch=sizes, length=sizes, heads=st.integers(1, 3), size=sizes, seed=seeds)
@settings(max_examples=20, deadline=None)
def test_attention(batch: int, length: int, heads: int, size: int, seed: int) -> None:
    features = heads * size
    x = normal(batch, length, features, seed=seed)
    module, variables = lowered(tree.SelfAttention(heads), x, seed)
    kernel = {part: variables[f"{part}.kernel"].value for part in ("query", "key", "value", "output")}
    bias = {part: variables[f"{part}.bias"].value for part in kernel}
    expected = np.empty_like(x)
    for n in range(batch):
        q, k, v = (x[n] @ kernel[part] + bias[part] for part in ("query", "key", "value"))
        heard = []
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            weights = np.exp(q[:, own] @ k[:, own].T / math.sqrt(size))
            heard.append(weights @ v[:, own] / weights.sum(1)[:, None])
        expected[n] = np.concatenate(heard, 1) @ kernel["output"] + bias["output"]
    found = module.forward(x, TRAINING)
    # exp() amplifies the rounding of its argument, which is tens here, by that argument: 1e-12 becomes 1e-10.
    assert np.max(np.abs(found - expected)) <= 1e-10 * max(1.0, np.max(np.abs(expected)))
    assert_gradients_match_differences(module, variables, x)


def test_a_causal_mask_hides_what_comes_later() -> None:
    x = normal(2, 5, 6)
    module, variables = lowered(tree.SelfAttention(2, causal=True), x)
    y = module.forward(x, TRAINING)
    for length in range(1, 6):  # the last of the first positions sees just them, as attention to all of them does
        prefix, bound = lowered(tree.SelfAttention(2), x[:, :length])
        for path, variable in bound.items():
            variable.value = variables[path].value
        assert_close(y[:, length - 1], prefix.forward(x[:, :length], TRAINING)[:, -1])
    dy = np.zeros_like(y)
    dy[:, 2] = 1
    module.forward(x, TRAINING)
    assert np.all(module.backward(dy)[:, 3:] == 0)


def test_embeddings() -> None:
    ids = np.array([[2, 0, 2], [1, 2, 2]], np.int32)
    module, variables = lowered(tree.Embedding(4, 2), ids)
    table = variables["table"]
    assert np.array_equal(module.forward(ids, TRAINING)[1, 0], table.value[1])
    dy = np.arange(12.0).reshape(2, 3, 2)
    assert module.backward(dy).shape == ids.shape
    expected = np.zeros((4, 2))
    np.add.at(expected, ids, dy)
    assert_close(table.grad, expected)
    assert table.grad[3].tolist() == [0, 0]

    x = normal(2, 3, 2)
    positions, bound = lowered(tree.PositionEmbedding(5), x)
    assert_close(positions.forward(x, TRAINING), x + bound["table"].value[None, :3])
    segments, bound = lowered(tree.SegmentEmbedding(2), x)
    assert_close(segments.forward(x, TRAINING), x + bound["table"].value[0])


def test_flatten_is_row_major_and_pooling_is_the_mean() -> None:
    x = np.arange(24.0).reshape(2, 2, 3, 2)
    assert lowered(tree.Flatten(), x)[0].forward(x, TRAINING)[1].tolist() == list(range(12, 24))
    pooled = lowered(tree.GlobalAveragePool2D(), x)[0].forward(x, TRAINING)
    assert pooled.tolist() == [[5, 6], [17, 18]]
    sequence = x.reshape(2, 6, 2)
    assert np.array_equal(lowered(tree.Tokens(), x)[0].forward(x, TRAINING), sequence)
    assert lowered(tree.MeanTokens(), sequence)[0].forward(sequence, TRAINING).tolist() == [[5, 6], [17, 18]]
    assert lowered(tree.SelectToken(4), sequence)[0].forward(sequence, TRAINING).tolist() == [[8, 9], [20, 21]]


def test_dropout_scales_what_it_keeps_and_backward_uses_the_same_mask() -> None:
    x = np.ones((100, 200))
    module, _ = lowered(tree.Dropout(0.2), x)
    assert module.forward(x, EVALUATION) is x
    y = module.forward(x, TRAINING)
    assert set(np.unique(y)) == {0.0, 1.25}
    assert abs(np.mean(y == 0) - 0.2) < 0.015  # 20,000 draws: five standard deviations of 0.0028
    assert np.array_equal(module.backward(x), y)


@pytest.mark.parametrize("architecture", [*cases.LAYERS.values(), *cases.MODELS.values()], ids=lambda a: a.name)
def test_float32_stays_float32(architecture: Architecture) -> None:
    plan = Plan(
        device="cpu",
        precision="fp32",
        execution="eager",
        batch_size=6,
        optimizer=architecture.optimizer,
        threads=1,
        seed=0,
        task="train",
    )
    session = plugin.make_session(plugin.build_model(architecture, plan), scattered_weights(architecture), plan)
    batch = plugin.place_batch(session, cases.random_batch(architecture))
    found = plugin.gradients(session, batch, None)
    assert plugin.train_step(session, batch).dtype == np.float32
    assert plugin.infer(session, batch).dtype == np.float32
    assert {found.output.dtype, *(value.dtype for value in found.parameters.values())} == {np.dtype(np.float32)}
    assert {value.dtype for value in plugin.read_weights(session).values()} == {np.dtype(np.float32)}
