"""The reference passes its own kit: the hooks, saving, evaluation and float32; test_layers.py checks its numbers."""

from mlbench_core.reference import plugin
from mlbench_core.testing.conformance import FrameworkConformance


class TestReference(FrameworkConformance):
    plugin = plugin
