"""The executor passes the kit, on a cluster of this machine alone; tests/testing has the core's."""

from collections.abc import Iterator

import pytest

from mlbench_core.testing.executors import ExecutorConformance
from mlbench_ray.executor import disconnect
from mlbench_ray.plugin import register_executors


@pytest.fixture(scope="module", autouse=True)
def leaves_nothing() -> Iterator[None]:
    yield
    disconnect()


class TestRay(ExecutorConformance):
    descriptor = register_executors()[0]
