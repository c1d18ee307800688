"""Every matched cell by every metric: ratio, interval and verdict; what is in one side only; and the mean over cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from attrs import evolve, frozen

from mlbench_core.compare.cells import Side, apart, cells_of, matched
from mlbench_core.compare.kept import Cell, Taken, taken
from mlbench_core.compare.machines import Change, changes, other_machine
from mlbench_core.entry import shown_framework
from mlbench_core.nodes import where
from mlbench_core.results import Results
from mlbench_core.results.compared import FIRST_STEP, LATENCY, TRAINING, Metric
from mlbench_core.results.groups import grouped
from mlbench_core.stats.ratio import Ratio, holm
from mlbench_core.stats.verdict import Verdict
from mlbench_core.stats.welch import Difference, as_ratio, blocks_needed, difference, welch_verdict
from mlbench_core.thresholds import Compare

DEFAULT = (TRAINING, LATENCY, FIRST_STEP)
"""The metrics that are gated unless others are named."""
LEAST_CELLS = 3
"""A mean over fewer cells says nothing about a run."""


@frozen(kw_only=True)
class Options:
    """How runs are compared. metrics: those that are gated. control: a framework, by its label if it has one, whose own change
    is taken out of all others'.
    any_machine: whether speeds of different machines are shown, ungated."""

    metrics: tuple[Metric, ...] = DEFAULT
    control: str | None = None
    any_machine: bool = False


@frozen(kw_only=True)
class Judged:
    """One cell by one metric.

    base, new: the geometric mean of the costs in the metric's unit. ratio: of speeds, new over base, above 1 it got faster;
    with a control, of what its own change leaves. gated: whether it takes part in the exit status. reason: why it is not
    comparable. note: what to know besides.
    """

    cell: Cell
    metric: str
    unit: str
    verdict: Verdict
    base: float | None = None
    new: float | None = None
    ratio: Ratio | None = None
    adjusted_p: float | None = None
    blocks: tuple[int, int] = (0, 0)
    blocks_needed: int | None = None
    reason: str = ""
    note: str = ""
    gated: bool = True


@frozen(kw_only=True)
class Mean:
    """The geometric mean of the ratios of the matched cells of one device, task and precision. mixed: whether cells disagree
    significantly. Never gated."""

    name: str
    metric: str
    ratio: Ratio
    cells: int
    mixed: bool


@frozen(kw_only=True)
class RunComparison:
    """Two sides compared. missing: cells of one side only, (name, "base" or "new"). failed: cells without a single trial that
    ended well on a side, with the reason."""

    judged: tuple[Judged, ...]
    missing: tuple[tuple[str, str], ...]
    failed: tuple[tuple[str, str], ...]
    means: tuple[Mean, ...]
    changes: tuple[Change, ...]
    several_runs: bool
    control: str | None = None


def compare_runs(base: Sequence[Results], new: Sequence[Results], options: Options) -> RunComparison:
    """Compares two sides, each one run or several. Raises ValueError if a side is empty."""
    ones, twos = ([taken(results, options.metrics) for results in side] for side in (base, new))
    return compare_taken(ones, twos, options)


def compare_taken(base: Sequence[Taken], new: Sequence[Taken], options: Options) -> RunComparison:
    """The same of what was taken of each run by the metrics of the options."""
    if not base or not new:
        raise ValueError("each side takes at least one run")
    rules = base[0].rules
    ones, twos = cells_of(base), cells_of(new)
    found: list[tuple[Judged, Difference | None]] = []
    failed = []
    pairs, unmatched = matched(ones, twos)
    for cell, one, two in pairs:
        why = _failure(one, "base") or _failure(two, "new")
        if why:
            failed.append((cell.name, why))
            continue
        reason, elsewhere = apart(one, two), other_machine(one.machines, two.machines)
        for metric in options.metrics:
            if metric.task == cell.task:
                found += _measure(cell, metric, (one, two), (ones, twos), (reason, elsewhere), options, rules)
    missing = [(cell.name, side) for cell, side in unmatched]
    judged = _judge(found, rules)
    return RunComparison(
        judged=tuple(judged),
        missing=tuple(missing),
        failed=tuple(failed),
        means=tuple(_means(judged, rules)),
        changes=tuple(changes(base, new)),
        several_runs=min(len(base), len(new)) > 1,
        control=options.control,
    )


def _failure(side: Side, which: str) -> str:
    if side.good:
        return ""
    first = side.kept[0]
    return f"{which}: {first.status}: {first.reason}"


def _measure(
    cell: Cell,
    metric: Metric,
    sides: tuple[Side, Side],
    all_sides: tuple[dict[Cell, Side], dict[Cell, Side]],
    reasons: tuple[str, str],
    options: Options,
    rules: Compare,
) -> list[tuple[Judged, Difference | None]]:
    """Nothing if neither side has the metric; else what is known before Holm's correction over all.

    sides, all_sides: the base's and the new one's. reasons: why the cell's sides cannot be compared, and why their machines are
    not the same; empty if they can, and are.
    """
    logs, news_logs = (side.logs(metric) for side in sides)
    if not logs and not news_logs:
        return []
    made = Judged(
        cell=cell,
        metric=metric.name,
        unit=metric.unit,
        verdict="not comparable",
        base=math.exp(-fmean(logs)) if logs else None,
        new=math.exp(-fmean(news_logs)) if news_logs else None,
        blocks=(len(logs), len(news_logs)),
    )
    reason, elsewhere = reasons
    if not logs or not news_logs:
        reason = reason or f"only the {'base' if logs else 'new'} run measured it"
    if elsewhere and not options.any_machine:
        reason = reason or elsewhere
    if options.control is not None and not reason:
        if shown_framework(cell) == options.control:
            return [(evolve(made, reason="it is the control", gated=False), None)]
        logs, news_logs, reason = _beside_control(cell, metric, sides, all_sides, options.control)
    if reason:
        return [(evolve(made, reason=reason), None)]
    found = difference(logs, news_logs)
    ratio = as_ratio(found, rules.confidence)
    return [(evolve(made, ratio=ratio, gated=not elsewhere, note=elsewhere), found)]


def _beside_control(
    cell: Cell,
    metric: Metric,
    sides: tuple[Side, Side],
    all_sides: tuple[dict[Cell, Side], dict[Cell, Side]],
    control: str,
) -> tuple[list[float], list[float], str]:
    """The logarithms of each side's speed over its control's in the same block; or why there are none."""
    named = ((each.framework, each.variant) for each in all_sides[0] if shown_framework(each) == control)
    framework, variant = next(named, (control, ""))
    arm = evolve(cell, framework=framework, variant=variant)
    one, two = (cells.get(arm) for cells in all_sides)
    if one is None or two is None:
        return [], [], f"the control {control} did not run this cell on both sides"
    versions = [{each.framework_version for each in side.good} for side in (one, two)]
    if versions[0] != versions[1]:
        told = " and ".join(" or ".join(sorted(names)) or "none" for names in versions)
        return [], [], f"the control {control} is of different versions: {told}"
    found = []
    for side, beside in zip(sides, (one, two), strict=True):
        mine, its = side.by_block(metric), beside.by_block(metric)
        found.append([mine[key] - its[key] for key in mine if key in its])
    reason = "" if all(found) else f"no block has both it and the control {control}"
    return found[0], found[1], reason


def _judge(found: Sequence[tuple[Judged, Difference | None]], rules: Compare) -> list[Judged]:
    """Holm over all gated tests of the invocation; those of other machines are shown without a verdict."""
    tested = [one for one, known in found if known is not None and one.gated and one.ratio and one.ratio.p is not None]
    adjusted = iter(holm([one.ratio.p for one in tested if one.ratio is not None and one.ratio.p is not None]))
    judged = []
    for one, known in found:
        if known is None:
            judged.append(one)
            continue
        if not one.gated:
            judged.append(evolve(one, verdict="not comparable", reason=one.note))
            continue
        p = next(adjusted) if one.ratio is not None and one.ratio.p is not None else None
        verdict = welch_verdict(known, p, rules)
        needed = blocks_needed(known, len(tested), rules) if verdict == "inconclusive" else None
        judged.append(evolve(one, verdict=verdict, adjusted_p=p, blocks_needed=needed))
    return judged


def _means(judged: Sequence[Judged], rules: Compare) -> list[Mean]:
    """A mean per device, task and precision of the cells that were compared."""
    known = [one for one in judged if one.ratio is not None and one.verdict != "not comparable"]
    found = []
    for (place, task, precision, metric), cells in grouped(
        known, lambda one: (where(one.cell), one.cell.task, one.cell.precision, one.metric)
    ).items():
        if len(cells) < LEAST_CELLS:
            continue
        logs = [math.log(one.ratio.value) for one in cells if one.ratio is not None]
        verdicts = {one.verdict for one in cells}
        found.append(
            Mean(
                name=f"{task} on {place}, {precision}",
                metric=metric,
                ratio=as_ratio(_over_cells(logs), rules.confidence),
                cells=len(cells),
                mixed={"faster", "slower"} <= verdicts,
            )
        )
    return found


def _over_cells(logs: Sequence[float]) -> Difference:
    """The mean of the cells' log ratios, as a difference with its scatter between cells."""
    mean = fmean(logs)
    scatter = math.sqrt(sum((log - mean) ** 2 for log in logs) / (len(logs) - 1) / len(logs))
    return Difference(mean=mean, error=scatter, freedom=float(len(logs) - 1), base=len(logs), new=len(logs))
