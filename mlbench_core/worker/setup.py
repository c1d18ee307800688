"""Setting a trial up: its framework, data, model and session, and the setup that its phases share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from attrs import evolve, field, frozen

from mlbench_core.architecture import Architecture, initial_weights
from mlbench_core.data import Arrays, open_prepared
from mlbench_core.errors import UnsupportedError
from mlbench_core.hookspecs import FrameworkInfo
from mlbench_core.plugins import Framework, build_architecture, build_model
from mlbench_core.serialize import to_json
from mlbench_core.trial import Job, Plan
from mlbench_core.worker import timing
from mlbench_core.worker.entering import enter

Emit = Callable[..., None]


@frozen(kw_only=True)
class TrialSetup:
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


def set_up(job: Job, emit: Emit, wait: timing.Turn) -> tuple[TrialSetup, Any]:
    """Everything before the first step: (setup, session). Raises UnsupportedError for what the framework does not offer."""
    trial = job.trial
    arrays = open_prepared(job.data)
    architecture = build_architecture(job.model, arrays.input_shape, arrays.num_classes)
    plan = Plan(
        device=trial.device,
        precision=trial.precision,
        execution=trial.execution,
        batch_size=trial.batch_size,
        optimizer=architecture.optimizer,
        loss=architecture.loss,
        threads=trial.threads,
        seed=trial.seed,
        task=trial.task,
        tuned=trial.tuned,
    )
    framework, info = enter(trial.framework, plan, job.team, emit)
    emit("info", info=to_json(info))
    plan = evolve(plan, execution=info.default_execution if trial.execution == "default" else trial.execution)
    problem = info.refusal(plan.precision, plan.execution) or info.group_refusal(plan)
    if problem:
        raise UnsupportedError(problem)
    model = build_model(framework, job.model, architecture, plan)
    session = framework.make_session(model, initial_weights(architecture, trial.seed), plan)
    return TrialSetup(
        job=job,
        framework=framework,
        info=info,
        architecture=architecture,
        plan=plan,
        arrays=arrays,
        emit=emit,
        wait=wait,
    ), session
