"""mlbench's conformance kit: every layer, models in lock-step with the float64 reference, saving and loading."""

from __future__ import annotations

import mlbench_jax.plugin
from mlbench_core.testing.conformance import FrameworkConformance
from mlbench_core.testing.hook_mutations import HookMutations, failure
from mlbench_core.testing.mutations import copy_of


class TestConformance(FrameworkConformance):
    plugin = mlbench_jax.plugin
    without = frozenset({"inference_mode"})  # JAX has no such mode


class TestHookMutations(HookMutations):
    kit = TestConformance

    def test_a_synchronize_that_does_not_wait_is_named(self) -> None:
        """JAX answers before it has computed, on a CPU too."""
        kit = self._with(copy_of(mlbench_jax.plugin, synchronize=lambda: True))
        with kit.driving() as driver:
            assert "synchronize returned before the work was done" in failure(
                lambda: kit.test_synchronize_waits(driver)
            )
