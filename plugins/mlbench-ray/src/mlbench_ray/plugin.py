"""The plugin: what it registers, without importing Ray."""

from __future__ import annotations

from mlbench_core.hookspecs import ExecutorDescriptor, hookimpl


@hookimpl
def register_executors() -> list[ExecutorDescriptor]:
    """The executor `ray`."""
    return [
        ExecutorDescriptor(
            name="ray",
            run="mlbench_ray.executor:run",
            machine="mlbench_ray.executor:machine",
            connect="mlbench_ray.executor:connect",
            options=("address", "trials_per_node"),
            description="one process per trial on the nodes of a Ray cluster, one trial at a time on each",
        )
    ]
