"""TensorFlow by hand: a functional Keras ResNet-18 in mixed bfloat16, trained by a tf.function that XLA compiles."""

from __future__ import annotations

import os

os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}

import keras
import tensorflow as tf

from benchmarks.gpu import common
from benchmarks.handwritten.common import measure
from benchmarks.handwritten.keras_resnet import resnet18


def main() -> None:
    """Does the job."""
    job = common.job()
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = resnet18(common.IMAGE, common.IMAGE_CLASSES)
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

    measure(job, run, model.count_params())


if __name__ == "__main__":
    main()
