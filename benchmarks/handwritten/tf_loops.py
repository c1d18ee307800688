"""TensorFlow by hand: functional Keras models and the custom training loop of Keras's guide, in a tf.function."""
# ruff: noqa: E402  # the process is prepared before the framework is imported

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import common

JOBS = common.prepare(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="2")

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from keras_resnet import resnet18

Batches = list[tuple[tf.Tensor, tf.Tensor]]


def mlp(features: int, num_classes: int) -> keras.Model:
    """Two hidden layers of 512."""
    inputs = keras.Input((features,))
    x = layers.Dense(512, activation="relu")(inputs)
    x = layers.Dense(512, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(num_classes)(x))


class BertEmbedding(layers.Layer):
    """The sum of token, position and segment embeddings; every token is in segment 0."""

    def __init__(self, vocabulary: int, size: int) -> None:
        super().__init__()
        self.tokens = layers.Embedding(vocabulary, size, "random_normal")
        self.positions = self.add_weight(shape=(512, size), initializer="random_normal", name="positions")
        self.segments = self.add_weight(shape=(2, size), initializer="random_normal", name="segments")

    def call(self, ids: Any) -> Any:
        """Token ids (batch, length) to (batch, length, size)."""
        return self.tokens(ids) + self.positions[: ids.shape[1]] + self.segments[0]


def encoder_block(x: Any, size: int, heads: int) -> Any:
    """Attention and feed-forward, each normalised after its residual sum."""
    init = keras.initializers.RandomNormal(stddev=size**-0.5)
    attention = layers.MultiHeadAttention(heads, size // heads, kernel_initializer=init)(x, x)
    x = layers.LayerNormalization(epsilon=1e-12)(layers.Add()([x, attention]))
    # Keras's gelu is the exact one; how long it takes depends on its argument, so the weights are those of the comparison.
    hidden = layers.Dense(4 * size, activation="gelu", kernel_initializer=init)(x)
    down = layers.Dense(size, kernel_initializer=init)(hidden)
    return layers.LayerNormalization(epsilon=1e-12)(layers.Add()([x, down]))


def bert(length: int, vocabulary: int, num_classes: int, depth: int, size: int, heads: int) -> keras.Model:
    """An encoder with a pooler on the first token."""
    inputs = keras.Input((length,), dtype="int64")
    x = layers.LayerNormalization(epsilon=1e-12)(BertEmbedding(vocabulary, size)(inputs))
    for _ in range(depth):
        x = encoder_block(x, size, heads)
    init = keras.initializers.RandomNormal(stddev=size**-0.5)
    x = layers.Dense(size, activation="tanh", kernel_initializer=init)(x[:, 0])
    return keras.Model(inputs, layers.Dense(num_classes, kernel_initializer=init)(x))


def build(job: common.Job) -> keras.Model:
    """The job's model."""
    if job.model == "mlp":
        return mlp(job.input_shape[0], job.num_classes)
    if job.model == "resnet18":
        return resnet18(tuple(job.input_shape), job.num_classes)
    assert job.vocabulary is not None
    return bert(job.input_shape[0], job.vocabulary, job.num_classes, depth=4, size=256, heads=4)


def place(job: common.Job) -> Batches:
    """Tensors; ids and labels are int64."""
    kind = np.float32 if job.vocabulary is None else np.int64
    return [(tf.constant(x.astype(kind)), tf.constant(y.astype(np.int64))) for x, y in common.batches(job)]


class Momentum:
    """SGD with momentum, by TensorFlow's own update kernel.

    Not keras.optimizers.SGD: that spells the same update in several small operations per variable, so a comparison with it
    would measure optimisers. Nor keras.optimizers.AdamW below, which is also another rule (its epsilon, its gradients of
    tables).
    """

    def __init__(self, model: keras.Model, rate: float) -> None:
        self.rate = tf.constant(rate)
        self.slots = [(v.value, tf.Variable(tf.zeros(v.shape), trainable=False)) for v in model.trainable_variables]

    def apply(self, gradients: list[tf.Tensor]) -> None:
        """One update."""
        for (variable, buffer), gradient in zip(self.slots, gradients, strict=True):
            tf.raw_ops.ResourceApplyMomentum(
                var=variable.handle, accum=buffer.handle, lr=self.rate, grad=gradient, momentum=0.9
            )


class AdamW:
    """Adam by TensorFlow's own update kernel, after decay of matrices and tables but not of biases and normalisations."""

    def __init__(self, model: keras.Model, rate: float) -> None:
        self.rate = rate
        self.powers = tf.Variable([1.0, 1.0], trainable=False)
        self.slots = []
        for v in model.trainable_variables:
            m, second = (tf.Variable(tf.zeros(v.shape), trainable=False) for _ in range(2))
            # By name as well: an attention's biases are (heads, size of a head).
            self.slots.append((v.value, m, second, len(v.shape) >= 2 and v.name != "bias"))

    def apply(self, gradients: list[tf.Tensor]) -> None:
        """One update."""
        powers = self.powers.assign(self.powers * [0.9, 0.999])
        for (variable, m, second, decays), gradient in zip(self.slots, gradients, strict=True):
            if decays:
                variable.assign_sub(variable * (self.rate * 0.01))
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=m.handle,
                v=second.handle,
                beta1_power=powers[0],
                beta2_power=powers[1],
                lr=self.rate,
                beta1=0.9,
                beta2=0.999,
                epsilon=1e-6,
                grad=gradient,
            )


def make_optimizer(job: common.Job, model: keras.Model) -> Momentum | AdamW:
    """The model's own update rule."""
    rate = common.LEARNING_RATE[job.model]
    return AdamW(model, rate) if job.model == "bert-mini" else Momentum(model, rate)


def train(job: common.Job, model: keras.Model, batches: Batches) -> Callable[[int], None]:
    """Steps of training."""
    optimizer = make_optimizer(job, model)

    @tf.function
    def train_step(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, model(x, training=True)))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply([tf.convert_to_tensor(gradient) for gradient in gradients])  # a table's come as slices
        return loss

    def run(steps: int) -> None:
        for i in range(steps):
            x, y = batches[i % len(batches)]
            train_step(x, y)
        tf.test.experimental.sync_devices()

    return run


def infer(model: keras.Model, batches: Batches) -> Callable[[int], None]:
    """Steps of inference."""

    @tf.function
    def predict(x: tf.Tensor) -> tf.Tensor:
        return model(x, training=False)

    def run(steps: int) -> None:
        for i in range(steps):
            x, _ = batches[i % len(batches)]
            predict(x)
        tf.test.experimental.sync_devices()

    return run


def main() -> None:
    """Does the jobs one after another."""
    tf.config.threading.set_intra_op_parallelism_threads(JOBS[0].threads)
    tf.config.threading.set_inter_op_parallelism_threads(JOBS[0].threads)
    tf.config.experimental.enable_tensor_float_32_execution(False)  # "fp32" means float32
    for job in JOBS:
        keras.utils.set_random_seed(0)
        model, batches = build(job), place(job)
        run = train(job, model, batches) if job.task == "train" else infer(model, batches)
        common.measure(job, run, sum(math.prod(v.shape) for v in model.trainable_variables))


if __name__ == "__main__":
    main()
