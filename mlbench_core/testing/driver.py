"""A plugin under test, bound and driven as a worker binds and drives it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

from mlbench_core.architecture import Architecture, Weights
from mlbench_core.hookspecs import FrameworkInfo
from mlbench_core.plugins import OPTIONAL_HOOKS, Framework
from mlbench_core.testing.answers import HOOKS, held
from mlbench_core.trial import ModelSource, Plan
from mlbench_core.verify.twin import Twin, twin

LOWERED = ModelSource("")
"""No native build and no lowerings of the model's own: the plugin's `build_model` makes it."""


class Driver(Framework):
    """A plugin's hooks, each held to what it must answer. Raises PluginError if the plugin lacks a required one, or has a hook
    or parameter that the contract does not. called: the hooks that were called so far."""

    def __init__(self, plugin: Any) -> None:
        super().__init__(plugin, f"the plugin {getattr(plugin, '__name__', plugin)}")
        self.called: set[str] = set()
        for hook in HOOKS:
            if hook in self.hooks or hook not in OPTIONAL_HOOKS:
                setattr(self, hook, held(hook, getattr(self, hook), self.called))

    @cached_property
    def info(self) -> FrameworkInfo:
        """What the framework says it offers; the first use may import it."""
        found: FrameworkInfo = self.framework_info()
        return found

    def session(self, architecture: Architecture, weights: Weights, plan: Plan) -> AbstractContextManager[Twin]:
        """A session, closed at the end."""
        return twin(self, LOWERED, architecture, weights, plan)
