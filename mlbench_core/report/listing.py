"""What `mlbench plugins` prints: the installed plugins and what they registered, as data and as text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mlbench_core.installed import CORE, Found, Installed, disabled_names, missing, versions
from mlbench_core.registry import Registry


def as_data(registry: Registry, installed: Installed) -> dict[str, Any]:
    """Everything by kind: lists of what there is, and by name what is to be said of what cannot be used."""
    return {
        "frameworks": [
            {"name": p.name, "distribution": p.distribution, "version": p.version, "module": p.module}
            for p in installed.usable.values()
        ],
        "conflicts": {
            **installed.conflicts,
            **{f"{kind} {name}": line for (kind, name), line in registry.contested.items()},
        },
        "disabled": disabled_names(installed),
        "missing": missing(installed),
        "models": [
            {"name": m.name, "aliases": list(m.aliases), "takes": m.takes, "description": m.description}
            for m in registry.models.values()
        ],
        "datasets": [
            {"name": d.name, "kind": d.kind, "description": d.description} for d in registry.datasets.values()
        ],
        "reporters": [{"name": r.name, "description": r.description} for r in registry.reporters.values()],
        "optimizers": [{"name": o.name, "description": o.description} for o in registry.optimizers.values()],
        "losses": [{"name": one.name, "description": one.description} for one in registry.losses.values()],
        "executors": [{"name": e.name, "description": e.description} for e in registry.executors.values()],
        "plugins": [
            {"name": p.name, "distribution": p.owner, "version": p.version, "adds": registry.added_by(p)}
            for p in registry.plugins
        ],
        "broken": list(registry.faults),
    }


def as_text(data: dict[str, Any]) -> str:
    """The same for people: a heading for each kind that has something, and a line for each thing."""
    lines = []
    for kind, entries in data.items():
        if entries:
            lines.append(f"{kind}:")
        for entry in entries if isinstance(entries, list) else [{"name": k, "is": v} for k, v in entries.items()]:
            name, *rest = [entry] if isinstance(entry, str) else entry.values()
            told = "  ".join(", ".join(value) if isinstance(value, list) else str(value) for value in rest)
            lines.append(f"  {name:<18} {told}".rstrip())
    return "\n".join(lines)


def versions_text(plugins: Iterable[Found]) -> str:
    """A line for each plugin: its distribution's version, and those of what it requires beyond the core's own needs.

    All from metadata: nothing is imported.
    """
    common = {*versions(CORE)}
    lines = []
    for plugin in plugins:
        needs = versions(plugin.distribution)
        own = [
            f"{name} {needs[name]}"
            for name in needs
            if name == plugin.name or name not in {*common, plugin.distribution}
        ]
        lines.append(f"{plugin.name:<18} {plugin}" + (f": {', '.join(own)}" if own else ""))
    return "\n".join(lines)
