"""Verifies models before they are compared: asks a worker per framework to climb the ladder, and remembers what it found."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

from attrs import frozen

from mlbench_core.architecture import Architecture
from mlbench_core.hookspecs import ModelDescriptor
from mlbench_core.plugins import FRAMEWORKS, attribute, find
from mlbench_core.runner.local import ExecutorSetting, converse
from mlbench_core.runner.turns import alone
from mlbench_core.trial import from_json, to_json
from mlbench_core.verify.rungs import Candidate, Climb, Rung, VerifyJob

SHAPES = {"vector": (32,), "tokens": (16,)}
"""What a model is verified on: a tree's arithmetic does not depend on how large its input is, and float64 on a CPU is slow.
Images are as large as the model's descriptor says, `verified_image`."""
CLASSES = 10
FORMAT = 2


@frozen
class Verification:
    """What to verify: models in frameworks on devices, at the precisions and executions of a run."""

    frameworks: tuple[str, ...]
    models: tuple[ModelDescriptor, ...]
    devices: tuple[str, ...]
    runs: tuple[tuple[str, str], ...]
    seed: int
    threads: int
    interpreters: dict[str, str]
    time_limit_s: float


def verify(
    wanted: Verification,
    cache: Path,
    logs: Path,
    fresh: bool = False,
    on_climb: Callable[[Climb], None] = lambda _climb: None,
) -> list[Climb]:
    """The climbs of every model in every framework on every device; one process per framework and device.

    A climb that the cache holds is not repeated unless `fresh`: the key covers the architecture, the versions of the framework,
    its plugin and the core, the kind of device and the runs. on_climb is called as each is known.
    """
    climbs = []
    for framework in wanted.frameworks:
        for device in wanted.devices:
            found: dict[str, Climb] = {}
            missing = []
            for model in wanted.models:
                path = cache / f"{_key(wanted, framework, device, architecture_of(model))}.json"
                known = None if fresh else _read(path)
                if known is None:
                    missing.append((model, path))
                else:
                    found[model.name] = known
                    on_climb(known)
            if missing:
                for climb in _climb(wanted, framework, device, missing, logs, on_climb):
                    found[climb.model] = climb
            climbs += [found[model.name] for model in wanted.models]
    return climbs


def architecture_of(model: ModelDescriptor) -> Architecture:
    """The architecture that a model is verified as."""
    built: Architecture = attribute(model.source.factory)(shape_of(model), CLASSES)
    return built


def shape_of(model: ModelDescriptor) -> tuple[int, ...]:
    """The input shape that a model is verified with."""
    if model.takes != "image":
        return SHAPES[model.takes]
    side = max(model.min_image, model.verified_image)
    return (side, side, 1)


def _climb(
    wanted: Verification,
    framework: str,
    device: str,
    missing: list[tuple[ModelDescriptor, Path]],
    logs: Path,
    on_climb: Callable[[Climb], None],
) -> Iterable[Climb]:
    candidates = tuple(Candidate(model.name, model.source, shape_of(model), CLASSES) for model, _ in missing)
    job = VerifyJob(framework, device, candidates, wanted.runs, wanted.seed, wanted.threads)
    paths = {model.name: path for model, path in missing}
    found: dict[str, Climb] = {}

    def follow(event: dict[str, Any]) -> None:
        if event["event"] == "climb":
            climb = from_json(event["climb"], Climb)
            found[climb.model] = climb
            if climb.verdict != "failed":  # what failed is about to be mended: look again next time
                _write(paths[climb.model], climb)
            on_climb(climb)

    log = logs / f"verify-{framework}-{device.replace(':', '')}.log"
    python = wanted.interpreters.get(framework, sys.executable)
    setting = ExecutorSetting(python, wanted.time_limit_s, log, follow)
    ended = alone(converse({"verify": to_json(job)}, device, wanted.threads, setting))
    for model, _ in missing:
        if model.name not in found:
            note = ended.reason or "the worker said nothing of this model"
            rung = Rung(1, "structure", math.nan, 0.0, note=note)
            found[model.name] = Climb(framework, model.name, device, architecture_of(model).digest, "", (rung,))
            on_climb(found[model.name])
    return [found[model.name] for model, _ in missing]


def _key(wanted: Verification, framework: str, device: str, architecture: Architecture) -> str:
    facts = [
        FORMAT,
        architecture.digest,
        _versions(framework),
        wanted.interpreters.get(framework),
        wanted.runs,
        wanted.seed,
    ]
    kind = "cpu" if device == "cpu" else f"gpu {os.environ.get('CUDA_VISIBLE_DEVICES', '')} {device}"
    return hashlib.sha256(json.dumps([*facts, kind]).encode()).hexdigest()[:20]


def _versions(framework: str) -> dict[str, str]:
    """The versions of the core, the framework's plugin and all that the plugin requires, without importing any of them."""
    plugin = find(FRAMEWORKS)[framework]
    names = {plugin.distribution, "mlbench-core", "numpy"}
    with contextlib.suppress(PackageNotFoundError):
        lines = distribution(plugin.distribution).requires or ()
        names |= {re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines}
    found = {}
    for name in sorted(names):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _read(path: Path) -> Climb | None:
    try:
        return from_json(json.loads(path.read_text(encoding="utf-8")), Climb)
    except Exception:  # absent, cut off or of an older form: climb again
        return None


def _write(path: Path, climb: Climb) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(to_json(climb)), encoding="utf-8")
    os.replace(temporary, path)
