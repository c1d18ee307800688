"""Climbing the parity ladder inside a worker: one framework, some models."""

from __future__ import annotations

import os
from collections.abc import Callable
from time import perf_counter

from mlbench_core.architecture import Architecture
from mlbench_core.errors import MlbenchError
from mlbench_core.plugins import attribute, load_framework
from mlbench_core.trial import Plan, to_json
from mlbench_core.verify.ladder import Pair, climb
from mlbench_core.verify.rungs import Candidate, Climb, Rung, VerifyJob


def verify(job: VerifyJob, emit: Callable[..., None]) -> None:
    """Climbs for each candidate and tells the parent of each climb as it is done."""
    framework = load_framework(job.framework)
    architectures = [_build(candidate) for candidate in job.candidates]
    if "worker_environment" in framework.hooks:
        # Float64 comes first: a framework that has to be told of it at the start is told.
        rule = architectures[0].optimizer
        plan = Plan(job.device, "fp64", "default", 1, rule, job.threads, job.seed, "train")
        os.environ.update(framework.worker_environment(plan) or {})
    info = framework.framework_info()
    for candidate, architecture in zip(job.candidates, architectures, strict=True):
        emit("phase", name=f"verify {candidate.model}")
        start = perf_counter()
        pair = Pair(framework, info, job.device, job.threads, job.seed, candidate.source)
        try:
            rungs = climb(pair, architecture, job.runs)
        except MlbenchError as error:
            rungs = (Rung(1, "structure", float("nan"), 0.0, note=str(error)),)
        seconds = perf_counter() - start
        done = Climb(job.framework, candidate.model, job.device, architecture.digest, info.version, rungs, seconds)
        emit("climb", climb=to_json(done))


def _build(candidate: Candidate) -> Architecture:
    built: Architecture = attribute(candidate.source.factory)(candidate.input_shape, candidate.num_classes)
    return built
