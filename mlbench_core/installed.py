"""What is installed, read from entry-point metadata: nothing is imported.

A plugin is an entry point in one of two groups, FRAMEWORKS or PLUGINS (see `hookspecs`). `plugins` loads what is found here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, metadata, requires, version

from attrs import frozen

from mlbench_core.errors import PluginError, unknown

FRAMEWORKS, PLUGINS = "mlbench.frameworks", "mlbench.plugins"
CORE = "mlbench-core"
REFERENCE = "numpy"
"""The reference framework: it comes with the core, and `all` means it only where no other is installed."""

# Install hints: the only place where the core knows a framework by its name.
INSTALL_HINTS = {"pytorch": "mlbench-torch", "tensorflow": "mlbench-tf", "jax": "mlbench-jax"}
ALIASES = {hint.removeprefix("mlbench-"): name for name, hint in INSTALL_HINTS.items()}
"""A framework answers to the short name of its distribution, too."""

DISABLE = "MLBENCH_DISABLE_PLUGINS"
"""The environment variable that names plugins or distributions, comma-separated, of which nothing is to be used."""


@frozen(kw_only=True)
class Found:
    """An installed plugin as its metadata tells."""

    name: str
    module: str
    distribution: str
    version: str
    group: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}".strip()


@frozen(kw_only=True)
class Installed:
    """The installed plugins of one group, by name and then distribution.

    enabled: those that may be used. disabled: those that MLBENCH_DISABLE_PLUGINS takes out.
    """

    enabled: tuple[Found, ...] = ()
    disabled: tuple[Found, ...] = ()

    @property
    def usable(self) -> dict[str, Found]:
        """The plugin behind each name that one distribution claims."""
        return {name: found[0] for name, found in self._by_name().items() if len(found) == 1}

    @property
    def conflicts(self) -> dict[str, str]:
        """Why a name that several distributions claim cannot be used, and what to do."""
        return {
            name: f"{name!r} is claimed by {' and '.join(map(str, found))}: {how_to_choose(p.distribution for p in found)}"
            for name, found in self._by_name().items()
            if len(found) > 1
        }

    def _by_name(self) -> dict[str, list[Found]]:
        names: dict[str, list[Found]] = {}
        for plugin in self.enabled:
            names.setdefault(plugin.name, []).append(plugin)
        return names


def find(group: str) -> Installed:
    """The installed plugins of a group. The same distribution seen twice on the path counts once."""
    unique: dict[tuple[str, str], Found] = {}
    for entry in entry_points(group=group):
        plugin = _found(entry)
        unique.setdefault((plugin.name, normalised(plugin.distribution)), plugin)
    plugins = [unique[key] for key in sorted(unique)]
    return sorted_out(plugins)


def sorted_out(plugins: Iterable[Found]) -> Installed:
    """The plugins, by whether MLBENCH_DISABLE_PLUGINS takes them out."""
    taken_out = {plugin: is_disabled(plugin.name, plugin.distribution) for plugin in plugins}
    return Installed(
        enabled=tuple(plugin for plugin, out in taken_out.items() if not out),
        disabled=tuple(plugin for plugin, out in taken_out.items() if out),
    )


def _found(entry: EntryPoint) -> Found:
    name, release = (entry.dist.name, entry.dist.version) if entry.dist else ("unknown", "")
    return Found(name=entry.name, module=entry.value, distribution=name, version=release, group=entry.group)


def is_disabled(*names: str) -> bool:
    """Whether MLBENCH_DISABLE_PLUGINS holds one of the names of a plugin: its own, its alias or its distribution's."""
    asked = {normalised(name.strip()) for name in os.environ.get(DISABLE, "").split(",") if name.strip()}
    asked |= {ALIASES[name] for name in asked & set(ALIASES)}
    return any(normalised(name) in asked for name in names)


def normalised(distribution: str) -> str:
    """A distribution's name as package indexes compare them: case and the kind of dash do not matter."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def how_to_choose(owners: Iterable[str]) -> str:
    """What to do about a name that plugins of several distributions (or a file) claim: take one out; not the core."""
    others = sorted({owner for owner in owners if normalised(owner) != CORE})
    return f"set {' or '.join(f'{DISABLE}={owner}' for owner in others)} to leave one out, or uninstall it"


def framework_name(name: str, installed: Installed, python: str = "") -> str:
    """The full name behind a name or an alias. python: the interpreter whose plugins they are, if it is not this one.

    Raises PluginError, one line, if two distributions claim it, or it is disabled, missing (how to install it) or unknown.
    """
    name, place = ALIASES.get(name, name), f" in {python}" if python else ""
    if name in installed.usable:
        return name
    if name in installed.conflicts:
        raise PluginError(f"frameworks: {installed.conflicts[name]}")
    disabled = disabled_names(installed)
    if name in disabled:
        raise PluginError(f"frameworks: {name!r} {disabled[name]}")
    if name in INSTALL_HINTS:
        raise PluginError(
            f"frameworks: {name!r} is not installed{place} (installed: {', '.join(installed.usable)}). "
            f"Install it {install_advice(INSTALL_HINTS[name], python=python or 'python')}"
        )
    raise PluginError("frameworks: " + unknown("framework", name, {*installed.usable, *INSTALL_HINTS}) + place)


def disabled_names(installed: Installed) -> dict[str, str]:
    """What is to be said of each name that is disabled: by what, and how to have it back."""
    value = os.environ.get(DISABLE, "")
    return {
        plugin.name: f"is disabled by {DISABLE}={value}; take it ({plugin.name} or {plugin.distribution}) out to use it"
        for plugin in installed.disabled
        if plugin.name not in installed.usable
    }


def missing(installed: Installed) -> dict[str, str]:
    """How to install each framework that mlbench has a plugin for and that is neither there nor disabled."""
    there = {plugin.name for plugin in (*installed.enabled, *installed.disabled)}
    return {name: install_advice(hint) for name, hint in INSTALL_HINTS.items() if name not in there}


def has_extra(distribution: str, extra: str) -> bool:
    """Whether an installed distribution offers an extra, as in "distribution[extra]"."""
    return extra in (metadata(distribution).get_all("Provides-Extra") or ())


def versions(distribution: str) -> dict[str, str]:
    """By name, the versions of a distribution and of each that it requires, extras included, as far as they are installed."""
    found = {}
    try:
        found[distribution] = version(distribution)
        lines = requires(distribution) or ()
    except PackageNotFoundError:
        return found
    for name in sorted({re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines}):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def install_advice(distribution: str, extra: str = "", python: str = "python") -> str:
    """How to install a plugin of this repository, as the README says; extra: such as "[cuda]"; python: into which environment.

    Never by its bare name: an unrelated project holds the name of the core on the public index.
    """
    release = version(CORE)
    project = f"./plugins/{distribution}{extra}"
    project = f'"{project}"' if extra else project
    wheel = f'"{distribution}{extra}=={release}"' if extra else f"{distribution}=={release}"
    return (
        f"from a checkout ({python} -m pip install -c constraints.txt . {project}) "
        f"or from built wheels ({python} -m pip install --find-links wheels {CORE}=={release} {wheel})"
    )
