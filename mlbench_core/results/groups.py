"""What is compared with what: a group is alike in all but framework, its variant and execution, and those are its arms."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from attrs import frozen

from mlbench_core.entry import shown_framework
from mlbench_core.results.row import Row
from mlbench_core.trial import Task, Trial

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


@frozen(kw_only=True)
class Group:
    """What the arms of a comparison have in common, over all blocks. batch_size: of the task's own steps. node,
    num_nodes: as a trial's."""

    model: str
    dataset: str
    device: str
    batch_size: int
    precision: str
    task: Task
    node: str = ""
    num_nodes: int = 1


def group_of(trial: Trial) -> Group:
    """The group in which a trial is compared."""
    return Group(
        model=trial.model,
        dataset=trial.dataset,
        device=trial.device,
        batch_size=trial.batch_size,
        precision=trial.precision,
        task=trial.task,
        node=trial.node,
        num_nodes=trial.num_nodes,
    )


def group_of_row(row: Row) -> Group:
    """The group in which a row's training is compared."""
    return Group(
        model=row.model,
        dataset=row.dataset,
        device=row.device,
        batch_size=row.batch_size,
        precision=row.precision,
        task="train",
        node=row.node,
        num_nodes=row.num_nodes,
    )


def grouped(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """The items by key, keys and items in the order in which they came."""
    found: dict[K, list[T]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found


def arm_label(trial: Trial) -> str:
    """What a person calls a trial's arm in its group: the framework or its label, and how it executes if that was asked for."""
    name = shown_framework(trial)
    return name if trial.execution == "default" else f"{name} ({trial.execution})"
