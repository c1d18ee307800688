"""The reference passes its own kit: the hooks, saving, evaluation and float32; test_layers.py checks its numbers."""

from pathlib import Path
from typing import Any

import pytest

from mlbench_core.reference import plugin
from mlbench_core.testing.answers import ANSWERS, HOOKS
from mlbench_core.testing.conformance import FrameworkConformance
from mlbench_core.testing.hook_mutations import HookMutations


class TestReference(FrameworkConformance):
    plugin = plugin
    without = frozenset({"worker_environment", "inference_mode"})


class TestHookMutations(HookMutations):
    kit = TestReference

    @pytest.mark.parametrize("hook", HOOKS)
    def test_a_hook_that_raises_is_named(self, hook: str, tmp_path: Path) -> None:
        self._skip_what_it_lacks(hook)

        def broken() -> Any:
            raise KeyError("no")

        self._is_named(hook, broken, tmp_path)


def test_answers_are_of_hooks() -> None:
    assert set(ANSWERS) < set(HOOKS)
