"""PReLU in TensorFlow: Keras has it, with a slope per element unless axes are shared."""

from typing import Any

import keras

from mlbench_prelu.layer import PReLU
from mlbench_tf.lowering import KerasSite, lower


@lower.register
def _(layer: PReLU, site: KerasSite) -> Any:
    shared = list(range(1, len(site.shape))) or None
    native = site.built(keras.layers.PReLU(shared_axes=shared, dtype=site.policy))
    site.bind("slope", native.alpha)
    return native
