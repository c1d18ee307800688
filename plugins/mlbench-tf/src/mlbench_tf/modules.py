"""What Keras lacks: symmetric padding inside a strided convolution or a pool, a fused BatchNorm, learned rows, a GELU exact in
float64."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from mlbench_core.architecture import Conv2D, MaxPool2D, Shape


def gelu(x: Any) -> Any:
    """x * Phi(x), by the operators of `tf.nn.gelu`, whose square root of 1/2 has only float32's digits in a float64 model."""
    return 0.5 * x * tf.math.erfc(-x * math.sqrt(0.5))


def explicit(padding: int) -> list[list[int]]:
    """`padding` on each side of height and width, as TensorFlow's NHWC operators take it."""
    return [[0, 0], [padding, padding], [padding, padding], [0, 0]]


class PaddedConv2D(keras.layers.Conv2D):  # type: ignore[misc]  # Keras has no types
    """A Conv2D with symmetric zero padding, which Keras's "same" is not once there is a stride.

    accelerated: on a GPU the padding is the operator's own, which saves a copy of the image. On a CPU the operator's own
    padding leaves its fast path: ResNet-18's strided convolutions on 32 pixels took 40 ms a step so, and 13 ms with a pad
    in front.
    """

    def __init__(self, spec: Conv2D, accelerated: bool, **options: Any) -> None:
        super().__init__(
            spec.features, spec.kernel, spec.stride, "valid", groups=spec.groups, use_bias=spec.use_bias, **options
        )
        self.spec, self.accelerated = spec, accelerated

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Keras's own extension point for another convolution."""
        padding = explicit(self.spec.padding)
        if not self.accelerated:  # Keras's own, which also works around the CPU's missing gradient for groups
            return super().convolution_op(tf.pad(inputs, padding), kernel)
        return tf.nn.conv2d(inputs, kernel, self.spec.stride, padding)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """As the tree's layer says."""
        return (input_shape[0], *self.spec.output_shape(_sample(input_shape)))


class PaddedMaxPool2D(keras.layers.Layer):  # type: ignore[misc]
    """A max pool whose padding counts as minus infinity, by the operator's own padding; for a GPU."""

    def __init__(self, spec: MaxPool2D, **options: Any) -> None:
        super().__init__(**options)
        self.spec = spec

    def call(self, inputs: Any) -> Any:
        """(batch, height, width, channels) to the pooled image."""
        return tf.nn.max_pool2d(inputs, self.spec.window, self.spec.stride, explicit(self.spec.padding))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """As the tree's layer says."""
        return (input_shape[0], *self.spec.output_shape(_sample(input_shape)))


class FusedBatchNorm(keras.layers.BatchNormalization):  # type: ignore[misc]
    """BatchNormalization of images (batch, height, width, channels) by TensorFlow's fused operator; for a GPU without XLA.

    Keras's own casts its input to float32 and computes from separate operations, each of which reads and writes the whole
    image: ResNet-50's training step (64 images of 224 pixels, as a graph) took 77.6 ms with it on an H200 in bf16, and 33.5 ms
    with this one. The operator takes 16 bits as they are and computes statistics in float32, as Keras does. It has no float64,
    which is lowered to Keras's own; a test holds the two against each other in the other precisions.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """A tensor of the same shape and dtype; in training the moving statistics are updated."""
        normalise = partial(
            tf.raw_ops.FusedBatchNormV3,
            x=inputs,
            scale=self.gamma.value,
            offset=self.beta.value,
            epsilon=self.epsilon,
            data_format="NHWC",
        )
        if not training:
            return normalise(mean=self.moving_mean.value, variance=self.moving_variance.value, is_training=False).y
        none = tf.constant([], tf.float32)
        result = normalise(mean=none, variance=none, is_training=True)
        # What the operator returns is divided by n - 1, and Keras's variance, as everybody's here, by n.
        # A large batch of images has more values than an int32 can count.
        n = tf.cast(tf.size(inputs, tf.int64) // inputs.shape[-1], tf.float32)
        for moving, new in (
            (self.moving_mean, result.batch_mean),
            (self.moving_variance, result.batch_variance * ((n - 1) / n)),
        ):
            moving.assign(moving * self.momentum + new * (1 - self.momentum))
        return result.y


class AddRows(keras.layers.Layer):  # type: ignore[misc]
    """Adds the first `used` rows of a learned table (rows, features) to a sequence (batch, length, features).

    used = length gives each position its own row; used = 1 gives all of them the first one.
    """

    def __init__(self, rows: int, used: int, **options: Any) -> None:
        super().__init__(**options)
        self.rows, self.used = rows, used

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the table."""
        self.table = self.add_weight(shape=(self.rows, input_shape[-1]), initializer="zeros", name="table")

    def call(self, inputs: Any) -> Any:
        """A sequence of the same shape."""
        return inputs + self.table[: self.used]


class ScaleFeatures(keras.layers.Layer):  # type: ignore[misc]
    """Multiplies the last axis by a learned factor per feature."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the factors."""
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="scale")

    def call(self, inputs: Any) -> Any:
        """A tensor of the same shape."""
        return inputs * self.scale


def _sample(shape: tuple[int | None, ...]) -> Shape:
    return tuple(size for size in shape[1:] if size is not None)
