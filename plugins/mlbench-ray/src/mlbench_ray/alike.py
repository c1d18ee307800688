"""Whether a node has installed what the driver has: numbers of different versions are no numbers of one run."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from pathlib import Path

from mlbench_core.installed import CORE, FRAMEWORKS, PLUGINS, find, versions
from mlbench_core.version import VERSION

SHOWN = 8
"""Differences in one message."""


def installed() -> dict[str, str]:
    """By name, the versions of Python, the core, every plugin, and what frameworks' plugins require."""
    found = {"Python": platform.python_version(), CORE: VERSION}
    for group in (FRAMEWORKS, PLUGINS):
        for plugin in (*find(group).enabled, *find(group).disabled):
            found[f"plugin {plugin.name}"] = str(plugin)
            if group == FRAMEWORKS:
                found |= {
                    f"{name} of {plugin.distribution}": one for name, one in versions(plugin.distribution).items()
                }
    return found


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    """A line for each name whose version is not the same."""
    names = [name for name in sorted({*here, *there}) if here.get(name) != there.get(name)]
    return [f"{name}: {here.get(name, 'nothing')} here, {there.get(name, 'nothing')} there" for name in names]


def listed(lines: list[str]) -> str:
    """The lines as one, cut where there are many."""
    more = f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return "; ".join(lines[:SHOWN]) + more


def local_plugin(folder: Path) -> str:
    """A hash of the `mlbenchfile.py` in a folder; empty without one."""
    try:
        return hashlib.sha256((folder / "mlbenchfile.py").read_bytes()).hexdigest()
    except OSError:
        return ""
