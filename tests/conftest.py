"""Every test keeps its cache to itself and, under xdist, has one CPU; none sees a GPU that happens to be there unless it asks,
and no run draws charts."""

import os
import tempfile
from collections.abc import Iterator

import pytest


def pytest_configure() -> None:
    """Gives each of xdist's processes one CPU, and so all that it starts: threads of BLAS that wait for CPUs which another test
    has take twice the time, and a worker would be bound to the first CPU, whoever is on it."""
    number = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    if number and hasattr(os, "sched_setaffinity"):
        cpus = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cpus[int(number) % len(cpus)]})


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
