"""Verifying inside a worker: one framework, some models."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from mlbench_core.plugins import build_architecture
from mlbench_core.serialize import to_json
from mlbench_core.trial import Plan
from mlbench_core.verify.ladder import parity_of
from mlbench_core.verify.rungs import VerifyJob
from mlbench_core.verify.subject import Subject
from mlbench_core.worker.entering import enter


def verify(job: VerifyJob, emit: Callable[..., None]) -> None:
    """Checks each candidate and tells the parent of each result as it is known."""
    architectures = [build_architecture(each.source, each.input_shape, each.num_classes) for each in job.candidates]
    # Float64 comes first: a framework that has to be told of it at the start is told.
    rule = architectures[0].optimizer
    plan = Plan(
        device=job.device,
        precision="fp64",
        execution="default",
        batch_size=1,
        optimizer=rule,
        threads=job.threads,
        seed=job.seed,
        task="train",
        tuned=job.tuned,
    )
    framework, info = enter(job.framework, plan, job.team, emit)
    for candidate, architecture in zip(job.candidates, architectures, strict=True):
        model = candidate.model
        emit("phase", name=f"verify {model}")
        subject = Subject(
            framework=framework,
            info=info,
            device=job.device,
            threads=job.threads,
            seed=job.seed,
            source=candidate.source,
            tuned=job.tuned,
        )
        found = parity_of(subject, model, architecture, job.runs, partial(_begin, emit, model))
        emit("parity", parity=to_json(found))


def _begin(emit: Callable[..., None], model: str, number: int, name: str) -> None:
    """Tells the parent which rung comes, so that it can name it if this process dies there."""
    emit("rung", model=model, number=number, name=name)
