"""Setting a trial up: its framework, data, model and session, and the stage that its phases share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from attrs import evolve, field, frozen

from mlbench_core.architecture import Architecture, initial_weights
from mlbench_core.data import Arrays, open_prepared
from mlbench_core.errors import UnsupportedError
from mlbench_core.hookspecs import FrameworkInfo
from mlbench_core.plugins import Framework, attribute, build_model, load_framework
from mlbench_core.trial import Job, Plan, to_json
from mlbench_core.worker import timing

Emit = Callable[..., None]


@frozen
class Stage:
    """A trial that was set up: everything its phases need."""

    job: Job
    framework: Framework
    info: FrameworkInfo
    architecture: Architecture
    plan: Plan
    arrays: Arrays
    emit: Emit
    wait: timing.Turn
    phases: dict[str, float] = field(factory=dict)

    @property
    def turn(self) -> timing.Turn | None:
        """Waits for this worker's turn, and counts the time as the phase "waiting"; None if it takes no turns."""
        return self._turn if self.job.takes_turns else None

    def _turn(self) -> None:
        start = perf_counter()
        self.wait()
        self.phases["waiting"] = self.phases.get("waiting", 0.0) + perf_counter() - start

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Times a phase, without what it waits for its turn, and tells the parent when it begins."""
        self.emit("phase", name=name)
        start, waited = perf_counter(), self.phases.get("waiting", 0.0)
        yield
        waited = self.phases.get("waiting", 0.0) - waited
        self.phases[name] = self.phases.get(name, 0.0) + perf_counter() - start - waited


def enter(name: str, plan: Plan) -> tuple[Framework, FrameworkInfo]:
    """The framework of this process and what it offers. The order matters: its environment first, then the framework itself."""
    framework = load_framework(name)
    if "worker_environment" in framework.hooks:
        os.environ.update(framework.worker_environment(plan) or {})
    return framework, framework.framework_info()


def set_up(job: Job, emit: Emit, wait: timing.Turn) -> tuple[Stage, Any]:
    """Everything before the first step: (stage, session). Raises UnsupportedError for what the framework does not offer."""
    trial = job.trial
    arrays = open_prepared(job.data)
    architecture: Architecture = attribute(job.model.factory)(arrays.input_shape, arrays.num_classes)
    plan = Plan(
        device=trial.device,
        precision=trial.precision,
        execution=trial.execution,
        batch_size=trial.batch_size,
        optimizer=architecture.optimizer,
        threads=trial.threads,
        seed=trial.seed,
        task=trial.task,
    )
    framework, info = enter(trial.framework, plan)
    emit("info", info=to_json(info))
    plan = evolve(plan, execution=info.default_execution if trial.execution == "default" else trial.execution)
    problem = info.refusal(plan.precision, plan.execution)
    if problem:
        raise UnsupportedError(problem)
    model = build_model(framework, job.model, architecture, plan)
    session = framework.make_session(model, initial_weights(architecture, trial.seed), plan)
    return Stage(job, framework, info, architecture, plan, arrays, emit, wait), session
