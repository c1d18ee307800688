"""mlbench's conformance kit: every layer, models in lock-step with the float64 reference, saving and loading."""

from __future__ import annotations

import mlbench_jax.plugin
from mlbench_core.testing.conformance import FrameworkConformance


class TestConformance(FrameworkConformance):
    plugin = mlbench_jax.plugin
