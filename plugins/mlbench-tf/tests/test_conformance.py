"""The kit every framework plugin has to pass."""

import pytest

import mlbench_tf.plugin
from mlbench_core.testing.conformance import FrameworkConformance


# Keras's variables do not know the `copy` argument that NumPy 2 gives to __array__; it shows when weights are saved.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
class TestConformance(FrameworkConformance):
    plugin = mlbench_tf.plugin
