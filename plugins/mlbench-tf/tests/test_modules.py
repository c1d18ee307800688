"""A layer that takes Keras's place on a GPU without XLA against Keras's own, on this machine's CPU."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from mlbench_core.architecture import BatchNorm
from mlbench_core.architecture.optimizer import Optimizer
from mlbench_core.trial import Plan
from mlbench_tf import lowering
from mlbench_tf.modules import FusedBatchNorm

# Both take their sums in float32, in another order: a few roundings of 6e-8. What leaves in 16 bits is rounded once more, by
# half of 2^-8 in bfloat16 and of 2^-11 in float16, and gradients are made of what was rounded.
BARS = {"float32": 1e-5, "mixed_bfloat16": 1.5e-2, "mixed_float16": 2e-3}


@pytest.fixture
def images() -> np.ndarray:
    """Far from a mean of 0, as what BatchNorm is for."""
    return (np.random.default_rng(0).normal(size=(4, 3, 5, 6)) * 2 + 3).astype(np.float32)


def made(kind: Any, policy: str) -> Any:
    layer = kind(momentum=0.9, epsilon=1e-5, dtype=policy)
    layer.build((None, 3, 5, 6))
    rng = np.random.default_rng(1)
    for variable in (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance):
        variable.assign(rng.uniform(0.5, 2, 6))
    return layer


def results(layer: Any, images: np.ndarray, training: bool) -> dict[str, np.ndarray]:
    x = tf.cast(images, layer.compute_dtype)
    weights = tf.cast(np.random.default_rng(2).normal(size=images.shape), layer.compute_dtype)

    @tf.function(autograph=False)
    def run(x: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
            loss = tf.reduce_sum(tf.cast(y * weights, tf.float32))
        parameters = [layer.gamma.value, layer.beta.value]
        dx, scale, bias = tape.gradient(loss, [x, *parameters])
        return {"y": y, "gradient": dx, "gradient of scale": scale, "gradient of bias": bias}

    found = dict(run(x))
    return {name: np.asarray(tf.cast(value, tf.float64)) for name, value in found.items()} | {
        "mean": np.asarray(layer.moving_mean, np.float64),
        "var": np.asarray(layer.moving_variance, np.float64),
    }


@pytest.mark.parametrize("policy", BARS)
@pytest.mark.parametrize("training", [True, False])
def test_the_fused_batch_norm_is_keras_own(images: np.ndarray, policy: str, training: bool) -> None:
    own, fused = (results(made(k, policy), images, training) for k in (keras.layers.BatchNormalization, FusedBatchNorm))
    for name, expected in own.items():
        # Statistics are float32 in all policies, of what went in.
        bar = BARS["float32" if name in ("mean", "var") else policy]
        assert np.abs(fused[name] - expected).max() <= bar * np.abs(expected).max(), name


def test_its_variance_is_divided_by_n(images: np.ndarray) -> None:
    layer = made(FusedBatchNorm, "float32")
    before = np.asarray(layer.moving_variance)
    layer(images, training=True)
    expected = 0.9 * before + 0.1 * images.astype(np.float64).var(axis=(0, 1, 2))
    np.testing.assert_allclose(np.asarray(layer.moving_variance), expected, rtol=1e-5)  # float32's sums of 60 values


def test_of_a_single_pixel_it_is_zero() -> None:
    layer = made(FusedBatchNorm, "float32")
    before = np.asarray(layer.moving_variance)
    layer(np.ones((1, 1, 1, 6), np.float32), training=True)
    np.testing.assert_allclose(np.asarray(layer.moving_variance), 0.9 * before, rtol=1e-6)  # one product's rounding


@pytest.mark.parametrize(
    ("device", "execution", "precision", "shape", "kind"),
    [
        ("cuda:0", "graph", "bf16", (3, 5, 6), "FusedBatchNorm"),
        ("cuda:0", "eager", "fp32", (3, 5, 6), "FusedBatchNorm"),
        ("cuda:0", "graph", "fp64", (3, 5, 6), "BatchNormalization"),
        ("cuda:0", "graph", "fp32", (6,), "BatchNormalization"),
        ("cuda:0", "compiled", "fp32", (3, 5, 6), "BatchNormalization"),
        ("cuda:0-1", "graph", "fp32", (3, 5, 6), "BatchNormOverReplicas"),
        ("cpu", "graph", "fp32", (3, 5, 6), "BatchNormalization"),
    ],
)
def test_where_it_stands(device: str, execution: str, precision: str, shape: tuple[int, ...], kind: str) -> None:
    plan = Plan(
        device=device, precision=precision, execution=execution, batch_size=4, threads=1, seed=0, task="train",
        optimizer=Optimizer(name="sgd", learning_rate=0.1),
    )  # fmt: skip
    site = lowering.KerasSite(shape, plan=plan)
    assert type(lowering.lower(BatchNorm(), site)).__name__ == kind
