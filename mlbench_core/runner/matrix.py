"""Config -> trials: the matrix of cells, checked against what is registered, installed and plugged in."""

from __future__ import annotations

import itertools
import os
import random
import shutil
from collections.abc import Iterable

from attrs import evolve, frozen

from mlbench_core.config import Config
from mlbench_core.data import can_adapt, fitting, parse_name
from mlbench_core.errors import ConfigError, PluginError, unknown
from mlbench_core.hookspecs import DatasetDescriptor, ModelDescriptor
from mlbench_core.keys import ALL_PRECISIONS, EXECUTIONS
from mlbench_core.plugins import ALIASES, INSTALL_HINTS, REFERENCE, Found, Registry, framework_name
from mlbench_core.trial import Task, Trial


@frozen
class Surroundings:
    """What is there to run on: installed frameworks, GPUs by their number, and CPUs this process may use."""

    frameworks: dict[str, Found]
    gpus: int
    cpus: int


def available_cpus() -> int:
    """The CPUs this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def expand(config: Config, registry: Registry, around: Surroundings, skip: tuple[str, ...] = ()) -> list[Trial]:
    """Every trial of a configuration, in the order in which they run.

    Each block holds every cell once, in an order drawn from the seed: a machine that slows down over the run then slows
    everybody. Inference does not depend on the training batch size, so cells that differ in nothing else share its trial.
    Raises ConfigError or PluginError naming the key, the value and what would be right.
    """
    frameworks = _frameworks(config, around, skip)
    devices = _devices(config, around)
    models = [registry.model(name) for name in _all(config.models, registry.models)]
    _check_interpreters(config, around)
    if config.executor not in registry.executors:
        raise ConfigError("executor: " + unknown("executor", config.executor, registry.executors))
    precisions = _all(config.precision, ALL_PRECISIONS)
    executions = _all(config.execution, EXECUTIONS[1:])
    first: dict[Trial, None] = {}
    cells = itertools.product(models, devices, precisions, executions, config.batch_sizes, frameworks)
    for model, device, precision, execution, batch_size, framework in cells:
        dataset = dataset_for(config, model, registry)
        epochs = config.for_model("num_epochs", model.name, model.aliases)
        tasks: list[tuple[Task, int, int]] = [
            ("train", batch_size, epochs),
            ("infer", config.inference_batch_size, 0),
        ]
        for task, size, num_epochs in tasks:
            trial = Trial(
                framework=framework,
                model=model.name,
                dataset=dataset,
                device=device,
                batch_size=size,
                precision=precision,
                execution=execution,
                task=task,
                block=0,
                num_epochs=num_epochs,
                seed=config.seed,
                threads=config.threads or around.cpus,
                measure=config.measure,
            )
            first[trial] = None
    return [trial for block in range(config.blocks) for trial in block_of(first, block)]


def block_of(trials: Iterable[Trial], block: int) -> list[Trial]:
    """The block of that number: every one of the trials once, cells and the arms in each in an order drawn from their seed and
    the number. A cell's arms run next to each other, so that what is compared was measured at the same time.

    Only the first block, 0, trains for real.
    """
    found = [evolve(trial, block=block, num_epochs=0 if block else trial.num_epochs) for trial in trials]
    random.Random(f"{found[0].seed}/{block}").shuffle(found)
    return [trial for cell in cells_of(found) for trial in cell]


def cells_of(trials: Iterable[Trial]) -> list[list[Trial]]:
    """The trials by block and cell, in order of the first of each."""
    cells: dict[tuple[int, Trial], list[Trial]] = {}
    for trial in trials:
        cells.setdefault((trial.block, trial.cell), []).append(trial)
    return list(cells.values())


def dataset_for(config: Config, model: ModelDescriptor, registry: Registry) -> str:
    """The data set a model trains on. Raises ConfigError if it is unknown or the model cannot take it."""
    name: str = config.for_model("dataset", model.name, model.aliases)
    base, _ = parse_name(name)
    if base == "file":
        return name  # what is in a file is known once it is read
    if base not in registry.datasets:
        raise ConfigError(
            "dataset: "
            + unknown("data set", name, registry.datasets, "Or give a path to an .npz file")
            + _no_file(name)
        )
    descriptor = registry.datasets[base]
    if not can_adapt(descriptor.kind, model.takes):
        raise ConfigError(
            f"dataset: {model.name} takes {_input(model)}, and {name!r} holds {descriptor.kind} data; "
            f"data sets that fit: {', '.join(fitting(model.takes, registry.datasets.values()))}"
        )
    return name


def descriptor_for(name: str, registry: Registry) -> DatasetDescriptor:
    """The descriptor behind a data set's name, that of the file loader for a path."""
    return registry.datasets[parse_name(name)[0]]


def _no_file(name: str) -> str:
    return f" (there is no file {name!r})" if "/" in name or name.endswith(".npz") else ""


def _input(model: ModelDescriptor) -> str:
    return {"image": "images", "vector": "vectors", "tokens": "token sequences"}[model.takes]


def _all(names: tuple[str, ...], every: object) -> tuple[str, ...]:
    return tuple(every) if "all" in names else names  # type: ignore[arg-type]  # a mapping or a tuple of names


def _frameworks(config: Config, around: Surroundings, skip: tuple[str, ...]) -> list[str]:
    names: list[str] = []
    for name in config.frameworks:
        if name == "all":
            names += [found for found in around.frameworks if found != REFERENCE] or [REFERENCE]
        else:
            names.append(framework_name(name, around.frameworks))
    skipped = {ALIASES.get(name, name) for name in skip}
    for name in skipped - {*around.frameworks, *INSTALL_HINTS}:
        raise PluginError("--skip-frameworks: " + unknown("framework", name, {*around.frameworks, *INSTALL_HINTS}))
    left = [name for name in dict.fromkeys(names) if name not in skipped]
    if not left:
        raise PluginError(f"--skip-frameworks {' '.join(skip)}: no framework is left of {', '.join(names)}")
    return left


def _devices(config: Config, around: Surroundings) -> list[str]:
    gpus = [f"cuda:{number}" for number in range(around.gpus)]
    names: list[str] = []
    for name in config.devices:
        if name == "all":
            names += ["cpu", *gpus]
        elif name == "cpu" or name in gpus:
            names.append(name)
        else:
            there = ", ".join(["cpu", *gpus])
            reason = "" if gpus else " (no NVIDIA GPU was found: nvidia-smi should list it)"
            raise ConfigError(f"devices: there is no {name} here, only {there}{reason}")
    return list(dict.fromkeys(names))


def _check_interpreters(config: Config, around: Surroundings) -> None:
    for name, path in config.interpreters.items():
        framework_name(name, around.frameworks)
        if shutil.which(path) is None:
            raise ConfigError(f"interpreters: {name}: {path!r} is not a Python interpreter that can be started")
