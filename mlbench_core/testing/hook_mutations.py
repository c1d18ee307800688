"""Every hook of your plugin taken out and broken, one at a time: the kit fails and names it. Subclass `HookMutations`.

In your plugin's tests::

    class TestHookMutations(HookMutations):
        kit = TestConformance  # your subclass of FrameworkConformance

The hooks are those of `FrameworkSpec`, so that a new one is covered as soon as it is there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from mlbench_core.errors import MlbenchError
from mlbench_core.plugins import OPTIONAL_HOOKS
from mlbench_core.testing.answers import HOOKS
from mlbench_core.testing.conformance import FrameworkConformance
from mlbench_core.testing.mutations import copy_of


class HookMutations:
    """kit: the class whose `plugin` is under test."""

    kit: ClassVar[type[FrameworkConformance]]

    def _with(self, plugin: ModuleType) -> FrameworkConformance:
        made: FrameworkConformance = type("Kit", (self.kit,), {"plugin": plugin})()
        return made

    def _skip_what_it_lacks(self, hook: str) -> None:
        if hook in self.kit.without:
            pytest.skip(f"the plugin has no {hook}")

    @pytest.mark.parametrize("hook", HOOKS)
    def test_a_hook_that_is_gone_is_named(self, hook: str) -> None:
        self._skip_what_it_lacks(hook)
        plugin = copy_of(self.kit.plugin)
        delattr(plugin, hook)
        kit = self._with(plugin)
        optional = hook in OPTIONAL_HOOKS
        said = failure(kit.test_optional_hooks_are_there if optional else kit.test_required_hooks_are_there)
        assert hook in said, f"without {hook} the kit says {said!r}"

    @pytest.mark.parametrize("hook", HOOKS)
    def test_a_hook_that_answers_nothing_is_named(self, hook: str, tmp_path: Path) -> None:
        self._skip_what_it_lacks(hook)
        self._is_named(hook, lambda: None, tmp_path)

    def _is_named(self, hook: str, broken: Callable[[], Any], folder: Path) -> None:
        """The kit names the hook when it is `broken` instead of the plugin's own."""
        kit = self._with(copy_of(self.kit.plugin, **{hook: broken}))

        def run() -> None:
            with kit.driving() as driver:
                kit.test_every_hook_answers(driver, folder)

        said = failure(run)
        assert hook in said, f"with a broken {hook} the kit says {said!r}"


def failure(test: Callable[[], object]) -> str:
    """What a test of the kit says when it fails; empty if it passes."""
    try:
        test()
    except (AssertionError, MlbenchError) as error:
        return str(error) or type(error).__name__
    return ""
