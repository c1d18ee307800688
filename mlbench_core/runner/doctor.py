"""What stands between this machine and good numbers: its facts, its flags, and every framework asked in a process of its
own."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from attrs import frozen

from mlbench_core import environment
from mlbench_core.architecture import Optimizer
from mlbench_core.hookspecs import FrameworkInfo
from mlbench_core.plugins import FRAMEWORKS, REFERENCE, find, load_registry
from mlbench_core.runner import devices
from mlbench_core.runner.local import ExecutorSetting, converse
from mlbench_core.runner.matrix import available_cpus
from mlbench_core.runner.turns import alone
from mlbench_core.thresholds import Flags
from mlbench_core.trial import Flag, Plan, from_json, to_json

TIME_LIMIT_S = 120.0
"""For one framework to be imported."""


@frozen
class Diagnosis:
    """facts: of `environment.facts`. flags: with what to do about each. frameworks: by name, what each says of itself, or None
    where it could not be asked (a flag says why)."""

    facts: dict[str, Any]
    flags: tuple[Flag, ...]
    frameworks: dict[str, FrameworkInfo | None]


def diagnose() -> Diagnosis:
    """Looks at the machine and asks every installed framework plugin what it is, on a GPU if there is one."""
    gpus = devices.facts()
    facts = environment.facts(gpus)
    flags = environment.flags(facts, Flags())
    flags += [
        Flag("broken plugin", "warn", f"{name} was left out ({why}): upgrade it, or uninstall it")
        for name, why in load_registry(Path.cwd()).broken.items()
    ]
    frameworks: dict[str, FrameworkInfo | None] = {}
    for name, plugin in find(FRAMEWORKS).items():
        info, problem = ask(name, "cuda:0" if gpus else "cpu")
        frameworks[name] = info
        if info is None:
            text = f"{name} cannot be used ({problem}): reinstall {plugin.distribution} and the framework it needs"
            flags.append(Flag("broken framework", "warn", text))
        elif gpus and name != REFERENCE and not any(device.startswith("cuda") for device in info.devices):
            text = (
                f"{name} {info.version} sees no CUDA, but {gpus[0]['name']} is there: install the framework's CUDA build "
                f"(python -m pip install '{plugin.distribution}[cuda]')"
            )
            flags.append(Flag("missing CUDA", "warn", text))
    return Diagnosis(facts, tuple(flags), frameworks)


def ask(framework: str, device: str) -> tuple[FrameworkInfo | None, str]:
    """What a framework says of itself in a fresh process; or None and why it did not answer."""
    threads = available_cpus()
    plan = Plan(device, "fp32", "default", 1, Optimizer("sgd", 0.1), threads, 0, "infer")
    payload = {"inspect": {"framework": framework, "plan": to_json(plan), "threads": threads}}
    with tempfile.TemporaryDirectory(prefix="mlbench-") as folder:
        setting = ExecutorSetting(sys.executable, TIME_LIMIT_S, Path(folder) / "log")
        ended = alone(converse(payload, device, threads, setting))
    if ended.status != "ok":
        return None, ended.reason
    return from_json(ended.last["info"], FrameworkInfo), ""
