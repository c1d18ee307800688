"""ShiftScale on TensorFlow."""

from typing import Any

import keras

from mlbench_shift.model import ShiftScale
from mlbench_tf.lowering import KerasSite, lower


class ShiftScaleLayer(keras.layers.Layer):
    def __init__(self, steps: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.steps = steps

    def build(self, shape: Any) -> None:
        self.gain = self.add_weight(shape=(shape[-1],), initializer="ones", name="gain")

    def call(self, x: Any) -> Any:
        return keras.ops.roll(x, self.steps, axis=-1) * self.gain


@lower.register
def _(layer: ShiftScale, site: KerasSite) -> Any:
    native = site.built(ShiftScaleLayer(layer.steps, dtype=site.policy))
    site.bind("gain", native.gain)
    return native
