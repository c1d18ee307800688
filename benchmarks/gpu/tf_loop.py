"""TensorFlow by hand: a functional Keras ResNet-18 in mixed bfloat16, trained by a tf.function that XLA compiles."""

from __future__ import annotations

import os

os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}

from typing import Any

import keras
import tensorflow as tf
from keras import layers

from benchmarks.gpu import common


def conv_norm(x: Any, filters: int, kernel: int, strides: int = 1) -> Any:
    """A convolution without bias, padded by half the kernel on each side, and a batch normalisation."""
    if strides > 1 and kernel > 1:  # "same" would pad unevenly here
        x = layers.ZeroPadding2D(kernel // 2)(x)
        x = layers.Conv2D(filters, kernel, strides, use_bias=False)(x)
    else:
        x = layers.Conv2D(filters, kernel, strides, padding="same", use_bias=False)(x)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


def basic_block(x: Any, filters: int, strides: int) -> Any:
    """Two 3x3 convolutions beside a shortcut, which projects where the shape changes."""
    shortcut = conv_norm(x, filters, 1, strides) if strides != 1 or x.shape[-1] != filters else x
    out = conv_norm(layers.ReLU()(conv_norm(x, filters, 3, strides)), filters, 3)
    return layers.ReLU()(layers.Add()([out, shortcut]))


def resnet18() -> keras.Model:
    """ResNet-18 with the ImageNet stem. Zeros may pad the pool, because nothing is negative after the ReLU."""
    inputs = keras.Input(common.IMAGE)
    x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(layers.ReLU()(conv_norm(inputs, 64, 7, 2))))
    for filters, strides in ((64, 1), (128, 2), (256, 2), (512, 2)):
        x = basic_block(basic_block(x, filters, strides), filters, 1)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(common.IMAGE_CLASSES, dtype="float32")(x))


def main() -> None:
    """Does the job."""
    job = common.job()
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = resnet18()
    optimizer = keras.optimizers.SGD(2**-9, momentum=0.9)
    optimizer.build(model.trainable_variables)
    batches = [
        (
            tf.random.normal((job.batch_size, *common.IMAGE)),
            tf.random.uniform((job.batch_size,), maxval=common.IMAGE_CLASSES, dtype=tf.int32),
        )
        for _ in range(common.RING)
    ]

    @tf.function(jit_compile=True)
    def train_step(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, model(x, training=True)))
        optimizer.apply(tape.gradient(loss, model.trainable_variables))
        return loss

    def run(steps: int) -> None:
        loss = None
        for i in range(steps):
            loss = train_step(*batches[i % len(batches)])
        assert loss is not None
        loss.numpy()  # the last step's result: steps run in order

    common.measure(job, run)


if __name__ == "__main__":
    main()
