"""Nothing but the entry point: the fake itself is `mlbench_core.testing.fakes`."""
