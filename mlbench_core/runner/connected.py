"""The executor that a configuration names, with its options: it is connected before anything else is asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from mlbench_core.descriptors import ExecutorDescriptor
from mlbench_core.errors import ConfigError, unknown
from mlbench_core.executor import Place, Run
from mlbench_core.plugins import attribute

Option = str | int | float | bool


class Connected:
    """An executor. Raises ConfigError for an option that it does not take; what its `connect` raises is raised where it is
    first needed, so that nothing is connected for who only asks what would be run."""

    def __init__(self, descriptor: ExecutorDescriptor, options: Mapping[str, Option]) -> None:
        for name in options:
            if name not in descriptor.options:
                why = unknown("option", name, descriptor.options) if descriptor.options else "it takes no options"
                raise ConfigError(f"executor_options: {descriptor.name}: {name}: {why}")
        self._descriptor, self._options = descriptor, dict(options)

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Where requests can be done at the same time."""
        return self.look()

    def look(self) -> tuple[Place, ...]:
        """The places that there are now."""
        if self._descriptor.connect is None:
            return (Place(),)
        found: tuple[Place, ...] = attribute(self._descriptor.connect)(self._options)
        return found

    @property
    def run(self) -> Run:
        """What has a request done."""
        self.places  # noqa: B018  # connected now
        run: Run = attribute(self._descriptor.run)
        return run

    def machine(self) -> dict[str, Any]:
        """The facts about the machine that workers run on, where an outcome names no other."""
        self.places  # noqa: B018
        facts: dict[str, Any] = attribute(self._descriptor.machine)()
        return facts
