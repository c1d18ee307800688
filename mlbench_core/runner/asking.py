"""Asks a framework what it is and offers, in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

from mlbench_core.architecture import UpdateRule
from mlbench_core.executor import Outcome, Run, Setting, inspect_request
from mlbench_core.executors.scratch import scratch
from mlbench_core.hookspecs import FrameworkInfo
from mlbench_core.runner.matrix import available_cpus
from mlbench_core.runner.turns import run_alone
from mlbench_core.serialize import from_json
from mlbench_core.trial import Inspection, Plan

TIME_LIMIT_S = 120.0
"""For one framework to be imported."""


def ask(
    run: Run, framework: str, device: str, python: str = sys.executable, place: str = ""
) -> tuple[FrameworkInfo | None, str]:
    """What a framework says of itself in a fresh process of the executor `run`; or None and why it did not answer."""
    outcome = inspect(run, framework, device, python, place)
    if outcome.status != "ok":
        return None, outcome.reason
    return from_json(outcome.answer["info"], FrameworkInfo), ""


def inspect(run: Run, framework: str, device: str, python: str = sys.executable, place: str = "") -> Outcome:
    """How the process ended that was asked. Its answer has `info`, and in `printed` what the plugin's import has printed."""
    plan = Plan(
        device=device,
        precision="fp32",
        execution="default",
        batch_size=1,
        optimizer=UpdateRule(name="sgd", learning_rate=0.1),
        threads=available_cpus(),
        seed=0,
        task="infer",
    )
    with scratch() as folder:
        setting = Setting(python=python, time_limit_s=TIME_LIMIT_S, log=Path(folder) / "log", place=place)
        return run_alone(run(inspect_request(Inspection(framework, plan)), setting))
