"""Entering a framework: its plugin is loaded, its environment applied, and what it says of itself is checked."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout

from mlbench_core.descriptors import fault
from mlbench_core.errors import PluginError
from mlbench_core.hookspecs import FrameworkInfo
from mlbench_core.plugins import Framework, load_framework
from mlbench_core.trial import Inspection, Plan, Team


def enter(name: str, plan: Plan, team: Team | None, emit: Callable[..., None]) -> tuple[Framework, FrameworkInfo]:
    """The framework of this process and what it offers. The order matters: its environment first, then the framework itself.

    team: that it leads; emit: called with where that gathers. Raises PluginError as `load_framework` does, and for a hook that
    returns something else than the contract says.
    """
    framework = load_framework(name)
    if team is not None:
        from mlbench_core.worker.leading import Leading  # what most workers need not

        framework = Leading(framework, team, plan.device, emit)
    apply_environment(framework, plan)
    return framework, info_of(framework)


def inspect(inspection: Inspection) -> tuple[FrameworkInfo, str]:
    """What the framework says of itself, and what the import of its plugin has printed, which goes to the log as well."""
    printed = io.StringIO()
    try:
        with redirect_stdout(printed), redirect_stderr(printed):
            framework = load_framework(inspection.framework)
    finally:
        sys.stderr.write(printed.getvalue())
    apply_environment(framework, inspection.plan)
    return info_of(framework), printed.getvalue()


def apply_environment(framework: Framework, plan: Plan) -> None:
    """Sets the variables that the framework asks for. Raises PluginError if they are no texts by name."""
    if "worker_environment" not in framework.hooks:
        return
    variables: object = framework.worker_environment(plan) or {}
    if not isinstance(variables, dict):
        raise PluginError(f"{framework.label}: worker_environment returned {_kind_of(variables)}, not a dict of texts")
    for variable, value in variables.items():
        if not isinstance(variable, str) or not isinstance(value, str):
            said = f"worker_environment sets {variable!r} to {value!r}, and both must be texts"
            raise PluginError(f"{framework.label}: {said}")
    os.environ.update(variables)


def info_of(framework: Framework) -> FrameworkInfo:
    """What the framework says of itself. Raises PluginError that names the field, if it is not what the contract says."""
    info = framework.framework_info()
    if not isinstance(info, FrameworkInfo):
        raise PluginError(f"{framework.label}: framework_info returned {_kind_of(info)}, not a FrameworkInfo")
    wrong = fault(info)
    if not wrong and info.name != framework.name:
        wrong = f"name is {info.name!r}, and its entry point is named {framework.name!r}: make them alike"
    if not wrong and info.default_execution not in info.executions:
        wrong = f"default_execution is {info.default_execution!r}, not one of executions {info.executions}"
    if wrong:
        raise PluginError(f"{framework.label}: framework_info cannot be used: {wrong}")
    return info


def _kind_of(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
