"""The kit every framework plugin has to pass."""

import pytest

import mlbench_tf.plugin
from mlbench_core.testing.conformance import FrameworkConformance
from mlbench_core.testing.hook_mutations import HookMutations

# Keras's variables do not know the `copy` argument that NumPy 2 gives to __array__; it shows when weights are saved.
COPY = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@COPY
class TestConformance(FrameworkConformance):
    plugin = mlbench_tf.plugin
    without = frozenset({"inference_mode"})  # TensorFlow has no such mode


@COPY
class TestHookMutations(HookMutations):
    kit = TestConformance
