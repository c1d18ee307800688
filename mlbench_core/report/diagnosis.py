"""What `mlbench doctor` prints, as text."""

from __future__ import annotations

import json

from mlbench_core.runner.doctor import Diagnosis


def as_text(found: Diagnosis) -> str:
    """A line for each fact, GPU, framework and flag."""
    lines = [f"{name:<24} {_value(value)}" for name, value in found.facts.items() if name != "gpus"]
    lines += [f"{f'cuda:{number}':<24} {json.dumps(gpu)}" for number, gpu in enumerate(found.facts["gpus"])]
    lines.append(f"{'cache':<24} {found.cache['path']}, {found.cache['bytes'] / 1e6:,.1f} MB (mlbench cache)")
    for name, info in found.frameworks.items():
        if info is None:
            lines.append(f"{name:<24} cannot be used; plugin {found.plugins[name]}")
            continue
        more = "".join(f", {package} {version}" for package, version in info.versions.items())
        lines.append(f"{name:<24} {info.version}, on {', '.join(info.devices)}; plugin {found.plugins[name]}{more}")
    lines += [str(flag) for flag in found.flags] or ["nothing here makes timings doubtful"]
    return "\n".join(lines)


def _value(value: object) -> object:
    return "n/a" if value is None else json.dumps(value) if isinstance(value, dict) else value
