"""What is matched between two runs: the cells of each side, with one logarithm of speed per block or per run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from statistics import fmean
from typing import Any

from attrs import evolve, frozen

from mlbench_core.compare.kept import Cell, Kept, Taken
from mlbench_core.compare.machines import Identity, identity
from mlbench_core.entry import shown_framework
from mlbench_core.results.compared import Metric
from mlbench_core.results.groups import grouped

CONDITIONS = ("seed", "threads", "measure", "tuned", "optimizer", "loss")


@frozen(kw_only=True)
class Side:
    """One cell of one side. asked: the cell as it was asked for, its execution unresolved. runs: what is kept of each run."""

    asked: Cell
    runs: tuple[tuple[Kept, ...], ...]
    machines: tuple[Identity, ...]
    parity: str

    @property
    def kept(self) -> list[Kept]:
        """Of all runs."""
        return list(chain(*self.runs))

    @property
    def good(self) -> list[Kept]:
        """Those that ended well."""
        return [each for each in self.kept if each.status == "ok"]

    def logs(self, metric: Metric) -> list[float]:
        """The logarithm of the speed of each block; with several runs, the mean of each run's."""
        by_run = [[each.logs[metric.name] for each in run if metric.name in each.logs] for run in self.runs]
        if len(by_run) == 1:
            return by_run[0]
        return [fmean(logs) for logs in by_run if logs]

    def by_block(self, metric: Metric) -> dict[tuple[int, int], float]:
        """The same by (run, block), for pairing with a control arm."""
        return {
            (place, each.block): each.logs[metric.name]
            for place, run in enumerate(self.runs)
            for each in run
            if metric.name in each.logs
        }


def cells_of(runs: Sequence[Taken]) -> dict[Cell, Side]:
    """The cells of one side, which is one run or several."""
    parity: dict[tuple[str, str, str, str], str] = {}
    found: dict[Cell, list[list[Kept]]] = {}
    as_asked: dict[Cell, Cell] = {}
    machines: dict[Cell, dict[str, Identity]] = {}
    for place, run in enumerate(runs):
        parity |= run.parity
        known = {each.machine: identity(run.machines.get(each.machine, {})) for each in _one_each(run.kept)}
        for asked, kept in grouped(run.kept, lambda each: each.asked).items():
            cell = _resolved(asked, kept)
            as_asked.setdefault(cell, asked)
            found.setdefault(cell, [[] for _ in runs])[place] = kept
            machines.setdefault(cell, {}).update((each.machine, known[each.machine]) for each in kept)
    return {
        cell: Side(
            asked=as_asked[cell],
            runs=tuple(tuple(run) for run in by_run if run),
            machines=tuple(machines[cell].values()),
            parity=parity.get((shown_framework(cell), cell.model, cell.device, cell.node), "unverified"),
        )
        for cell, by_run in found.items()
    }


def _one_each(kept: Iterable[Kept]) -> Iterable[Kept]:
    """One of each machine."""
    return {each.machine: each for each in kept}.values()


def matched(
    base: Mapping[Cell, Side], new: Mapping[Cell, Side]
) -> tuple[list[tuple[Cell, Side, Side]], list[tuple[Cell, str]]]:
    """The cells that both sides have, and those of one side with the side that lacks them.

    Where nothing on a side ended well, nobody knows how it executes: then the cell as it was asked for counts.
    """
    pairs, missing, taken = [], [], set()
    by_asked = {side.asked: cell for cell, side in new.items()}
    for cell, side in base.items():
        other = cell if cell in new else by_asked.get(side.asked)
        if other is None or (other != cell and side.good and new[other].good):
            missing.append((cell, "new"))
            continue
        taken.add(other)
        pairs.append((cell if side.good else other, side, new[other]))
    missing += [(cell, "base") for cell in new if cell not in taken]
    return pairs, missing


def _resolved(cell: Cell, kept: Iterable[Kept]) -> Cell:
    """With the execution that "default" turned out to be, if a trial got that far."""
    known = next((each.execution for each in kept if each.execution), cell.execution)
    return cell if known == cell.execution else evolve(cell, execution=known)


def apart(base: Side, new: Side) -> str:
    """Why two sides of a cell cannot be compared though they are called the same; empty if they can."""
    ones, twos = _conditions(base), _conditions(new)
    for name, one, two in (
        *((name, _values(ones, name), _values(twos, name)) for name in CONDITIONS),
        ("number of parameters", _parameters(base), _parameters(new)),
        ("parity", {base.parity}, {new.parity}),
    ):
        if one and two and one != two:
            return f"different {name}: {_told(one)} and {_told(two)}"
    if base.parity == "failed":
        return "the models are not proven the same: parity failed"
    return ""


def _conditions(side: Side) -> set[Any]:
    return {each.conditions for each in side.kept}


def _values(conditions: set[Any], name: str) -> set[Any]:
    return {getattr(each, name) for each in conditions}


def _parameters(side: Side) -> set[Any]:
    return {each.num_parameters for each in side.good if each.num_parameters is not None}


def _told(values: Iterable[Any]) -> str:
    texts = sorted(str(value) for value in values)
    return " or ".join(text if len(text) <= 40 else "another one" for text in texts)
