"""Executors: what has a request executed, one process per request. The contract is `mlbench_core.executor`."""
