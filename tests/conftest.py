"""Every test keeps its cache to itself, none sees a GPU that happens to be there unless it asks, and no run draws charts."""

import os
import tempfile
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_cache() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLBENCH_CACHE", folder)
        patch.setenv("MLBENCH_DISABLE_PLUGINS", "report")
        yield


QUICK = {
    "warmup_steps": 1,
    "warmup_seconds": 0,
    "value_seconds": 0.001,
    "min_values": 3,
    "min_seconds": 0,
    "steady_limit": 0,
    "latency_steps": 20,
    "queries": 20,
}


@pytest.fixture(scope="session")
def quick() -> dict[str, float]:
    """A `measure` that is over at once."""
    return dict(QUICK)


@pytest.fixture(scope="session")
def environ() -> dict[str, str]:
    """The environment for subprocesses of a test."""
    return dict(os.environ)
