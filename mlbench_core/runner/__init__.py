"""All that runs in the parent: the Suite, executors, the monitor, the journal."""

from mlbench_core.runner.suite import Suite

__all__ = ["Suite"]
