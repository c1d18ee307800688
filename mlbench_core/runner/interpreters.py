"""What another Python interpreter has installed: it is asked, in a process of its own, before trials are planned."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from mlbench_core.errors import ConfigError
from mlbench_core.installed import CORE, FRAMEWORKS, INSTALL_HINTS, Found, Installed, install_advice, sorted_out
from mlbench_core.version import VERSION

PROBE = f"""
import json
try:
    from mlbench_core.version import VERSION as core
except ImportError:
    core = ""
found = []
if core:
    from importlib.metadata import entry_points
    for one in entry_points(group="{FRAMEWORKS}"):
        found.append([one.name, one.value, one.dist.name, one.dist.version])
print()
print(json.dumps({{"core": core, "frameworks": found}}))
"""
"""Uses nothing of mlbench but its version: whichever one is there can run it."""
TIME_LIMIT_S = 60.0
"""For an interpreter to start and read metadata or sources, on a slow disk."""


def installed_in(python: str, framework: str) -> Installed:
    """The framework plugins of an interpreter, whose core must be of this version.

    framework: the one that is wanted of it, for the message. Raises ConfigError, one line, if it cannot be run, or has no core
    or another one.
    """
    told = _ask(python)
    core, found = told["core"], told["frameworks"]
    if core != VERSION:
        has = f"mlbench-core {core}" if core else "no mlbench-core"
        advice = install_advice(INSTALL_HINTS.get(framework, CORE), python=python)
        raise ConfigError(
            f"frameworks: {framework}: {python} has {has}, and this is {CORE} {VERSION}; one run takes one version. "
            f"Install {VERSION} there {advice}"
        )
    plugins = [
        Found(name=name, module=module, distribution=distribution, version=version, group=FRAMEWORKS)
        for name, module, distribution, version in sorted(map(tuple, found))
    ]
    return sorted_out({(plugin.name, plugin.distribution): plugin for plugin in plugins}.values())


def _ask(python: str) -> dict[str, Any]:
    told, why = told_by(python, PROBE)
    if why:
        raise ConfigError(f"frameworks: {python} cannot be asked what it has installed: {why}")
    return told


def told_by(python: str, code: str, *arguments: str, folder: Path = Path()) -> tuple[dict[str, Any], str]:
    """The JSON object that the code prints last in that interpreter, started in the folder, and nothing; or none, and why."""
    try:
        answer = subprocess.run(
            [python, "-c", code, *arguments], capture_output=True, text=True, errors="replace", timeout=TIME_LIMIT_S,
            check=False, stdin=subprocess.DEVNULL, cwd=folder,
        )  # fmt: skip
        told = json.loads(answer.stdout.strip().rpartition("\n")[2])
    except (OSError, subprocess.TimeoutExpired) as error:
        return {}, str(error)
    except ValueError:
        told = None
    if isinstance(told, dict):
        return told, ""
    said = (answer.stderr.strip() or answer.stdout.strip() or "it said nothing").rpartition("\n")[2]
    return {}, f"{said:.300}. Is it a Python of 3.11 or later?"
