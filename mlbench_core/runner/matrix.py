"""Config -> trials: the matrix of cells, checked against what is registered, installed and plugged in."""

from __future__ import annotations

import itertools
import os
import random
import sys
import warnings
from collections.abc import Iterable, Mapping

from attrs import evolve, field, frozen

from mlbench_core.config import Config
from mlbench_core.data import can_adapt, fitting, parse_name
from mlbench_core.devices import EVERY_GPU, gpus_between, kind_of, members, number_of
from mlbench_core.entry import Entry
from mlbench_core.errors import ConfigError, PluginError
from mlbench_core.hookspecs import ModelDescriptor
from mlbench_core.installed import Installed
from mlbench_core.registry import DATASET, MODEL, Registry
from mlbench_core.results.groups import group_of, grouped
from mlbench_core.runner.entries import Elsewhere, entries_of
from mlbench_core.runner.interpreters import installed_in
from mlbench_core.runner.offered import Offers, plan, said
from mlbench_core.trial import AUTO, Task, Trial


@frozen(kw_only=True)
class Surroundings:
    """What is there to run on: installed frameworks, GPUs by their number, CPUs this process may use, whom to ask what a
    framework offers, and what other interpreters have installed. gpus_on: the GPUs on each node of a kind, by its name."""

    frameworks: Installed
    gpus: int
    cpus: int
    offers: Offers = lambda _entry, _device, _node: None
    elsewhere: Elsewhere = installed_in
    gpus_on: Mapping[str, int] = field(factory=dict)


@frozen
class Matrix:
    """The trials of a configuration, in the order in which they run.

    entries: the frameworks that run, by what each is called. not_offered: what `all` asked for that a framework does not offer
    ("jax: eager, graph"; empty if everything is). faults: by model and data set, why their trials cannot be run, where a
    plugin's descriptor is wrong.
    """

    trials: list[Trial]
    entries: dict[str, Entry]
    not_offered: str
    faults: dict[tuple[str, str], str]


def available_cpus() -> int:
    """The CPUs this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def expand(config: Config, registry: Registry, around: Surroundings, skip: tuple[str, ...] = ()) -> Matrix:
    """Every trial of a configuration; of `all` precisions, executions and devices those that each framework offers.

    Each block holds every cell once, in an order drawn from the seed: a machine that slows down over the run then slows
    everybody. Inference does not depend on the training batch size, so cells that differ in nothing else share its trial.
    Raises ConfigError or PluginError naming the key, the value and what would be right.
    """
    entries = entries_of(config.frameworks, around.frameworks, around.elsewhere, skip)
    kinds = {kind.name: around.gpus_on.get(kind.name, 0) for kind in config.nodes or ()} or {"": around.gpus}
    places = [(device, node) for node, gpus in kinds.items() for device in _devices(config, gpus, node)]
    asked = [_asked(name, config, registry) for name in _all(config.models, registry.models)]
    faults = {(each.model, each.dataset): each.fault for each in asked if each.fault}
    if len(faults) == len({(each.model, each.dataset) for each in asked}):
        raise PluginError(next(iter(faults.values())))
    if "all" in config.models:
        for line in (line for (kind, _), line in registry.contested.items() if kind == MODEL):
            warnings.warn(f"models: all leaves out what several plugins claim: {line}", stacklevel=2)
    executor = registry.executor(config.executor)
    key = "nodes" if config.nodes else "num_nodes" if config.num_nodes > 1 else ""
    if key and executor.connect is None:
        raise ConfigError(
            f"{key}: the executor {executor.name!r} has this machine alone; it is for one that has several"
        )
    planned = {(entry, at): plan(config, entry, at, around.offers) for entry in entries for at in places}
    precisions = dict.fromkeys(name for each in planned.values() for name in each.precisions)
    executions = dict.fromkeys(name for each in planned.values() for name in each.executions)
    first: dict[Trial, None] = {}
    cells = itertools.product(asked, places, precisions, executions, config.batch_sizes, entries)
    for each, (device, node), precision, execution, batch_size, entry in cells:
        mine = planned[entry, (device, node)]
        if precision not in mine.precisions or execution not in mine.executions:
            continue
        samples = AUTO if isinstance(batch_size, str) else batch_size
        devices = number_of(device) * config.num_nodes
        samples *= devices if config.batch_per_device else 1
        tasks: list[tuple[Task, int, int]] = []
        if "train" in config.tasks:
            tasks.append(("train", samples, each.num_epochs))
        if "infer" in config.tasks and devices == 1:  # several share a batch in training; a query is answered by one
            tasks.append(("infer", config.inference_batch_size, 0))
        for task, size, num_epochs in tasks:
            trial = Trial(
                framework=entry.name,
                variant=entry.label,
                model=each.model,
                dataset=each.dataset,
                device=device,
                node=node,
                num_nodes=config.num_nodes,
                batch_size=size,
                precision=precision,
                execution=execution,
                task=task,
                block=0,
                num_epochs=num_epochs,
                seed=config.seed,
                threads=config.threads or around.cpus,
                measure=config.measure,
                tuned=config.profile == "tuned",
                optimizer=each.optimizer,
                loss=each.loss,
            )
            first[trial] = None
    if not first:
        why = said(planned) or "inference on several devices: a query is answered by one"
        raise ConfigError(f"nothing is left to run of all that was asked for; not offered: {why}")
    trials = [trial for block in range(config.blocks) for trial in block_of(first, block)]
    return Matrix(trials, {entry.shown: entry for entry in entries}, said(planned), faults)


@frozen(kw_only=True)
class _Asked:
    """A model that was asked for, what it trains on and for how long, and the plugin's fault that keeps it from running."""

    model: str
    dataset: str
    num_epochs: int
    optimizer: str = ""
    loss: str = ""
    fault: str = ""


def _asked(name: str, config: Config, registry: Registry) -> _Asked:
    fault = registry.faulty.get((MODEL, name), "")
    if fault and name not in registry.models:  # of its descriptor, nothing can be relied on
        epochs: int = config.for_model("num_epochs", name, ())
        return _Asked(model=name, dataset=config.for_model("dataset", name, ()), num_epochs=epochs, fault=fault)
    model = registry.model(name)
    epochs = config.for_model("num_epochs", model.name, model.aliases)
    dataset: str = config.for_model("dataset", model.name, model.aliases)
    base, _ = parse_name(dataset)
    fault = "" if base in registry.datasets else registry.faulty.get((DATASET, base), "")
    if not fault:
        _check_dataset(dataset, model, registry)
    optimizer = config.named_for("optimizer", model.name, model.aliases)
    if optimizer:
        registry.optimizer(optimizer)
    loss = config.named_for("loss", model.name, model.aliases)
    if loss:
        registry.loss(loss)
    return _Asked(model=model.name, dataset=dataset, num_epochs=epochs, optimizer=optimizer, loss=loss, fault=fault)


def block_of(trials: Iterable[Trial], block: int) -> list[Trial]:
    """The block of that number: every one of the trials once, groups and the arms in each in an order drawn from their seed and
    the number. A group's arms run next to each other, so that what is compared was measured at the same time.

    Only the first block, 0, trains for real.
    """
    found = [evolve(trial, block=block, num_epochs=0 if block else trial.num_epochs) for trial in trials]
    random.Random(f"{found[0].seed}/{block}").shuffle(found)
    return [trial for arms in side_by_side(found) for trial in arms]


def side_by_side(trials: Iterable[Trial]) -> list[list[Trial]]:
    """The arms of each group in each block, in order of the first of each."""
    return list(grouped(trials, lambda trial: (trial.block, group_of(trial))).values())


def _check_dataset(name: str, model: ModelDescriptor, registry: Registry) -> None:
    """Raises ConfigError or PluginError if a data set is unknown or the model cannot take it."""
    base, _ = parse_name(name)
    if base == "file":
        return  # what is in a file is known once it is read
    descriptor = registry.dataset(base, f"Or give a path to an .npz file{_no_file(name)}")
    if not can_adapt(descriptor.kind, model.takes):
        raise ConfigError(
            f"dataset: {model.name} takes {_input(model)}, and {name!r} holds {descriptor.kind} data; "
            f"data sets that fit: {', '.join(fitting(model.takes, registry.datasets.values()))}"
        )


def _no_file(name: str) -> str:
    return f" (there is no file {name!r})" if "/" in name or name.endswith(".npz") else ""


def _input(model: ModelDescriptor) -> str:
    return {"image": "images", "vector": "vectors", "tokens": "token sequences"}[model.takes]


def _all(names: tuple[str, ...], every: object) -> tuple[str, ...]:
    return tuple(every) if "all" in names else names  # type: ignore[arg-type]  # a mapping or a tuple of names


def _devices(config: Config, number_of_gpus: int, node: str) -> list[str]:
    gpus = [f"cuda:{number}" for number in range(number_of_gpus)]
    names: list[str] = []
    for name in config.devices:
        if name == "all":
            names += ["cpu", *gpus]
        elif name == EVERY_GPU and gpus:
            names.append(gpus_between(0, len(gpus) - 1) or gpus[0])
        elif name == "mps" and sys.platform != "darwin":
            raise ConfigError(
                "devices: mps needs macOS on Apple silicon; this machine has cpu" + "".join(f", {g}" for g in gpus)
            )
        elif name != EVERY_GPU and all(kind_of(one) != "cuda" or one in gpus for one in members(name)):
            names.append(name)
        else:
            there = ", ".join(["cpu", *gpus])
            reason = "" if gpus else " (no NVIDIA GPU was found: nvidia-smi should list it)"
            raise ConfigError(f"devices: there is no {name} {f'on {node}' if node else 'here'}, only {there}{reason}")
    found = list(dict.fromkeys(names))
    for device, batch_size in itertools.product(found, () if config.batch_per_device else config.batch_sizes):
        devices = number_of(device) * config.num_nodes
        if isinstance(batch_size, int) and batch_size % devices:
            whose = f"of {device}" + (f" on {config.num_nodes} nodes" if config.num_nodes > 1 else "")
            raise ConfigError(
                f"batch_sizes: {batch_size} cannot be shared equally by the {devices} devices {whose}; "
                "take a multiple, or batch_per_device: true"
            )
    return found
