"""A run as a comparison takes it: of each record its cell, how it ended and the logarithms of its speeds, and no values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

from attrs import frozen

from mlbench_core.entry import shown_framework
from mlbench_core.record import Record
from mlbench_core.results import Results
from mlbench_core.results.compared import Metric
from mlbench_core.results.storage import read
from mlbench_core.thresholds import Compare, Measure
from mlbench_core.trial import Task, Trial
from mlbench_core.verify.rungs import least_proven

OWN = "the model's own"


@frozen(kw_only=True, cache_hash=True)
class Cell:
    """What is the same on both sides of a comparison of runs. execution: as it turned out where it is known."""

    framework: str
    variant: str = ""
    model: str
    dataset: str
    device: str
    batch_size: int
    precision: str
    execution: str
    task: Task
    node: str = ""
    num_nodes: int = 1

    @property
    def name(self) -> str:
        """What a person calls it, and what patterns are matched with: model/task/..."""
        task = "train" if self.task == "train" else "infer"
        parts = [
            self.model,
            task,
            shown_framework(self),
            self.device,
            f"bs{self.batch_size}",
            self.precision,
            self.execution,
            *filter(None, [self.node, f"{self.num_nodes} nodes" if self.num_nodes > 1 else ""]),
        ]
        return "/".join(parts)


@frozen(kw_only=True, cache_hash=True)
class Conditions:
    """What has to be the same for two records of a cell to be comparable."""

    seed: int
    threads: int
    measure: Measure
    tuned: bool
    optimizer: str
    loss: str


@frozen(kw_only=True)
class Kept:
    """What is taken of a record. asked: its cell as it was asked for. execution: as it turned out, empty if it did not get that
    far. logs: the logarithm of its speed, which is one over its cost, by the name of each metric that it has."""

    asked: Cell
    block: int
    conditions: Conditions
    execution: str
    status: str
    reason: str
    machine: str
    framework_version: str
    num_parameters: int | None
    logs: Mapping[str, float]


@frozen(kw_only=True)
class Taken:
    """What is taken of a run. machines: facts by the key that `kept` name. parity: the verdict by framework, model,
    device and kind of node.
    versions: of frameworks and what they are made of, with their names."""

    rules: Compare
    machines: Mapping[str, Mapping[str, Any]]
    parity: Mapping[tuple[str, str, str, str], str]
    versions: frozenset[tuple[str, str]]
    kept: tuple[Kept, ...]


def taken(results: Results, metrics: Sequence[Metric]) -> Taken:
    """Of results that are in memory."""
    take = _Take(metrics)
    return _taken(results, map(take, results.records), take)


def load_taken(path: Path, metrics: Sequence[Metric]) -> Taken:
    """Of a results file, whose records are let go one by one: 10,000 cells need not be in memory. Raises ResultsError."""
    take = _Take(metrics)
    results, kept = read(path, take)
    return _taken(results, kept, take)


def _taken(results: Results, kept: Iterable[Kept], take: _Take) -> Taken:
    found = tuple(kept)
    return Taken(
        rules=results.settings.compare,
        machines=results.machines,
        parity={key: each.verdict for key, each in least_proven(results.parity).items()},
        versions=frozenset(take.versions),
        kept=found,
    )


class _Take:
    """Record -> Kept. What many records share is kept once."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self.versions: set[tuple[str, str]] = set()
        self._metrics = metrics
        self._cells: dict[Cell, Cell] = {}
        self._conditions: dict[tuple[int, int, int, bool, str, str], Conditions] = {}

    def __call__(self, record: Record) -> Kept:
        trial, measured = record.trial, record.measured
        framework = shown_framework(trial)
        if measured.framework_version:
            self.versions.add((framework, measured.framework_version))
        if trial.variant and measured.python:
            self.versions.add((f"{framework}: Python", measured.python))
        for name, version in measured.versions.items():
            self.versions.add((f"{framework}: {name}", version))
        cell = _cell_of(record)
        return Kept(
            asked=self._cells.setdefault(cell, cell),
            block=trial.block,
            conditions=self._conditions_of(trial),
            execution=measured.execution,
            status=record.status,
            reason=record.reason,
            machine=record.machine,
            framework_version=measured.framework_version,
            num_parameters=measured.num_parameters,
            logs=_logs(record, self._metrics),
        )

    def _conditions_of(self, trial: Trial) -> Conditions:
        """By the identity of `measure`, which costs less than its hash: what is kept here holds it, so no other gets its id."""
        key = (trial.seed, trial.threads, id(trial.measure), trial.tuned, trial.optimizer, trial.loss)
        if key not in self._conditions:
            self._conditions[key] = Conditions(
                seed=trial.seed,
                threads=trial.threads,
                measure=trial.measure,
                tuned=trial.tuned,
                optimizer=trial.optimizer or OWN,
                loss=trial.loss or OWN,
            )
        return self._conditions[key]


def _cell_of(record: Record) -> Cell:
    """The cell of a record, as it was asked for."""
    trial = record.trial
    return Cell(
        framework=trial.framework,
        variant=trial.variant,
        model=trial.model,
        dataset=trial.dataset,
        device=trial.device,
        batch_size=trial.batch_size,
        precision=trial.precision,
        execution=trial.execution,
        task=trial.task,
        node=trial.node,
        num_nodes=trial.num_nodes,
    )


def _logs(record: Record, metrics: Sequence[Metric]) -> dict[str, float]:
    """Minus the logarithm of the process's median cost, by each metric of its task that it has a cost for."""
    if record.status != "ok":
        return {}
    found = {}
    for metric in metrics:
        if metric.task == record.trial.task:
            costs = list(chain(*metric.costs(record)))
            middle = median(costs) if costs else 0.0
            if middle > 0:
                found[metric.name] = -math.log(middle)
    return found
