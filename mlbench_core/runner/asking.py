"""Asks frameworks what they are and offer, each in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from mlbench_core.architecture import UpdateRule
from mlbench_core.executor import Outcome, Run, Running, Setting, inspect_request
from mlbench_core.executors.scratch import scratch
from mlbench_core.hookspecs import FrameworkInfo
from mlbench_core.runner.matrix import available_cpus
from mlbench_core.runner.turns import run_alone, run_at_once
from mlbench_core.serialize import from_json
from mlbench_core.trial import Inspection, Plan

TIME_LIMIT_S = 120.0
"""For one framework to be imported."""


def ask(
    run: Run, framework: str, device: str, python: str = sys.executable, place: str = ""
) -> tuple[FrameworkInfo | None, str]:
    """What a framework says of itself in a fresh process of the executor `run`; or None and why it did not answer."""
    return answer(run_alone(_inspection(run, framework, device, python, place)))


def inspect_all(run: Run, frameworks: Iterable[str], device: str) -> dict[str, Outcome]:
    """How the processes ended that were asked at the same time, one for each framework. An answer has `info`, and in `printed`
    what the plugin's import has printed."""
    names = {_inspection(run, name, device, sys.executable, ""): name for name in frameworks}
    ended = {names[one]: outcome for one, outcome in run_at_once(names)}
    return {name: ended[name] for name in names.values()}


def answer(outcome: Outcome) -> tuple[FrameworkInfo | None, str]:
    """What a framework said of itself; or None and why it did not answer."""
    if outcome.status != "ok":
        return None, outcome.reason
    return from_json(outcome.answer["info"], FrameworkInfo), ""


def _inspection(run: Run, framework: str, device: str, python: str, place: str) -> Running[Outcome]:
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
        return (yield from run(inspect_request(Inspection(framework, plan)), setting))
