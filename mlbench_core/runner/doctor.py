"""`mlbench doctor`: the machine's facts, what about them makes numbers doubtful, and what each framework says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import frozen

from mlbench_core.config import Config
from mlbench_core.hookspecs import FrameworkInfo
from mlbench_core.installed import FRAMEWORKS, INSTALL_HINTS, PLUGINS, REFERENCE, Found, find, has_extra, install_advice
from mlbench_core.machine.cache import cache_folder, kept
from mlbench_core.machine.facts import machine_flags
from mlbench_core.plugins import attribute
from mlbench_core.record import Flag
from mlbench_core.registry import load_registry
from mlbench_core.runner.asking import answer, inspect_all
from mlbench_core.thresholds import Limits


@frozen(kw_only=True)
class Diagnosis:
    """What `diagnose` found.

    facts: about the machine. flags: with what to do about each. frameworks: by name, what each says of itself, or None where it
    could not be asked (a flag says why). plugins: by name, the distribution and version of each framework's and every other
    plugin. cache: its path, and its size in bytes.
    """

    facts: dict[str, Any]
    flags: tuple[Flag, ...]
    frameworks: dict[str, FrameworkInfo | None]
    plugins: dict[str, str]
    cache: dict[str, Any]


def diagnose() -> Diagnosis:
    """Looks at the machine and asks every installed framework plugin what it is, on a GPU if there is one."""
    registry = load_registry(Path.cwd())
    executor = registry.executor(Config().executor)
    facts = attribute(executor.machine)()
    gpus = facts["gpus"]
    flags = machine_flags(facts, Limits())
    flags += [Flag("broken plugin", "warn", line) for line in registry.faults]
    flags += [Flag("name claimed twice", "warn", line) for line in registry.contested.values()]
    installed = find(FRAMEWORKS)
    flags += [Flag("name claimed twice", "warn", line) for line in installed.conflicts.values()]
    frameworks: dict[str, FrameworkInfo | None] = {}
    outcomes = inspect_all(attribute(executor.run), installed.usable, "cuda:0" if gpus else "cpu")
    for name, plugin in installed.usable.items():
        info, problem = answer(outcomes[name])
        frameworks[name] = info
        if info is None:
            text = f"{name} cannot be used ({problem}): reinstall {plugin.distribution} and the framework it needs"
            flags.append(Flag("broken framework", "warn", text))
        elif gpus and name != REFERENCE and not any(device.startswith("cuda") for device in info.devices):
            text = f"{name} {info.version} sees no CUDA, but {gpus[0]['name']} is there: {_cuda_advice(plugin)}"
            flags.append(Flag("missing CUDA", "warn", text))
    plugins = {plugin.name: str(plugin) for plugin in (*find(PLUGINS).enabled, *installed.enabled)}
    cache = {"path": str(cache_folder()), "bytes": sum(one.size for one in kept())}
    return Diagnosis(facts=facts, flags=tuple(flags), frameworks=frameworks, plugins=plugins, cache=cache)


def _cuda_advice(plugin: Found) -> str:
    if plugin.distribution in INSTALL_HINTS.values() and has_extra(plugin.distribution, "cuda"):
        return f"install its CUDA build {install_advice(plugin.distribution, '[cuda]')}"
    return "install the framework's CUDA build"
