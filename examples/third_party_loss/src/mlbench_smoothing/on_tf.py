"""Label smoothing in TensorFlow, whose cross-entropy takes probabilities as labels."""

from typing import Any

import tensorflow as tf

from mlbench_smoothing.loss import Smoothed
from mlbench_tf.loss import Function, make_loss


@make_loss.register
def _(loss: Smoothed) -> Function:
    def smoothed(logits: Any, labels: Any) -> Any:
        """The mean over the batch."""
        classes, least = logits.shape[-1], loss.smoothing / logits.shape[-1]
        targets = tf.one_hot(labels, classes, 1 - loss.smoothing + least, least, dtype=logits.dtype)
        return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))

    return smoothed
