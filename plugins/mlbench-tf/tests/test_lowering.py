"""Layers that the vocabulary lacks, and errors that name what is wrong."""

import keras

import mlbench_tf.plugin
from mlbench_core.testing.extension import Extension, Mix
from mlbench_tf import lowering
from mlbench_tf.lowering import KerasSite, Lowered


class TestExtension(Extension):
    plugin = mlbench_tf.plugin
    lowering = lowering
    imports = frozenset({"tensorflow", "keras"})

    @staticmethod
    def mix(layer: Mix, site: KerasSite) -> Lowered:
        native = site.built(keras.layers.Dense(site.shape[-1], use_bias=False, dtype=site.policy))
        site.bind("kernel", native.kernel, axes=(1, 0))
        return native
