"""What the conformance kit's tests share: the plugin's hooks, and its sessions beside the reference's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar

import pytest

from mlbench_core.architecture import Architecture, Weights, initial_weights
from mlbench_core.errors import UnsupportedError
from mlbench_core.testing import cases, checks
from mlbench_core.testing.checks import Pair
from mlbench_core.testing.driver import Driver
from mlbench_core.trial import Plan, Task
from mlbench_core.verify.samples import scattered_weights


class BesideTheReference:
    """device: where the plugin's sessions run, "cpu" or "cuda:0"; the reference stays on the CPU. without: the optional hooks
    that the plugin leaves out on purpose. unfinished: while you write the plugin, tests of what it lacks (an optional hook), or
    refuses with an UnsupportedError (a layer, an optimiser), are skipped, and do not fail."""

    plugin: ClassVar[Any]
    device: ClassVar[str] = "cpu"
    without: ClassVar[frozenset[str]] = frozenset()
    unfinished: ClassVar[bool] = False

    @pytest.fixture(scope="class")
    @classmethod
    def driver(cls) -> Iterator[Driver]:
        """The plugin's hooks, once `worker_environment` was applied."""
        with cls.driving() as driver:
            yield driver

    @classmethod
    @contextmanager
    def driving(cls) -> Iterator[Driver]:
        """The fixture `driver`, for who has no fixtures."""
        driver = Driver(cls.plugin)
        with pytest.MonkeyPatch.context() as patch:
            if "worker_environment" in driver.hooks:
                # As in a worker, nobody knows the executions yet: they come with framework_info.
                plan = cls.plan(cases.MODELS["mlp"], "fp64", "default")
                for variable, value in driver.worker_environment(plan).items():
                    patch.setenv(variable, value)
            yield driver

    @pytest.fixture(scope="class", params=sorted(cases.LAYERS))
    @classmethod
    def layer(cls, request: pytest.FixtureRequest, driver: Driver) -> Iterator[Pair]:
        """One layer alone, with weights none of which is 0 or 1."""
        architecture = cases.LAYERS[request.param]
        with cls.pair(driver, architecture, scattered_weights(architecture)) as pair:
            yield pair

    @classmethod
    def plan(
        cls, architecture: Architecture, precision: str, execution: str, task: Task = "train", seed: int = 0
    ) -> Plan:
        """A plan for the plugin."""
        return Plan(
            device=cls.device,
            precision=precision,
            execution=execution,
            batch_size=cases.BATCH,
            optimizer=architecture.optimizer,
            loss=architecture.loss,
            threads=1,
            seed=seed,
            task=task,
        )

    @classmethod
    @contextmanager
    def pair(
        cls,
        driver: Driver,
        architecture: Architecture,
        weights: Weights | None = None,
        precision: str = "fp64",
        execution: str | None = None,
        task: Task = "train",
        seed: int = 0,
    ) -> Iterator[Pair]:
        """The plugin's session, and next to it the reference's, which is in float64 whatever the plugin's precision.

        weights: the initial ones by default. execution: the plugin's default. Skips the test if the precision is not offered.
        """
        if precision not in driver.info.precisions:
            pytest.skip(f"{driver.info.name} does not offer {precision}")
        weights = weights or initial_weights(architecture, 0)
        plan = cls.plan(architecture, precision, execution or driver.info.default_execution, task, seed)
        one, two = driver.session(architecture, weights, plan), checks.reference(architecture, weights)
        with ExitStack() as stack:
            try:
                found = stack.enter_context(one)
            except UnsupportedError as error:
                if not cls.unfinished:
                    raise
                pytest.skip(str(error))
            yield Pair(architecture, weights, found, stack.enter_context(two))
