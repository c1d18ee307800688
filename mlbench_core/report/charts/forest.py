"""The forest plot: every ratio with its interval, the band of what does not matter, and every block as a point."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from mlbench_core.report.charts.axes import entry, legend
from mlbench_core.report.charts.chart import Chart, drawn, empty
from mlbench_core.report.charts.series import names_of
from mlbench_core.report.charts.style import LIGHT, Look, several, short
from mlbench_core.results import Results
from mlbench_core.results.comparisons import Comparison
from mlbench_core.results.groups import grouped
from mlbench_core.stats.ratio import Ratio

if TYPE_CHECKING:
    from typing import Any

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 60
"""Comparisons in the plot at most (own)."""
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.7, 0.8, 0.9, 0.95, 1, 1.05, 1.1, 1.25, 1.5, 2, 5, 10, 20, 50, 100)
FEWER_TICKS = (0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10, 100)


@frozen(kw_only=True)
class Line:
    """One line of the plot. group: what its comparison is of; heading: whether it only names a group."""

    group: str
    name: str
    comparison: Comparison
    ratio: Ratio
    heading: bool = False


def forest(results: Results, look: Look) -> Chart:
    """The ratios of speeds by primary metrics."""
    title = "Ratios of speeds, first to second"
    every = [c for c in results.comparisons if c.primary and c.ratio is not None]
    if not every:
        return empty("forest", title, "Two frameworks, or two ways of executing, in one run fill it.")
    known = [c for c in every if c.a in look.styles and c.b in look.styles]
    pairs = {(c.a, c.b): None for c in known}
    lines = _cut(_lines(known, only_groups=len(pairs) == 1))
    compared = [line for line in lines if not line.heading]
    delta = results.settings.compare.delta
    a, b = next(iter(pairs)) if len(pairs) == 1 else ("the first", "the second")

    def draw(figure: Figure) -> None:
        ax = figure.subplots()
        ax.axvspan(1 / (1 + delta), 1 + delta, color=LIGHT.grid, linewidth=0)
        ax.axvline(1, color=LIGHT.muted, linewidth=1)
        for place, line in enumerate(lines):
            if not line.heading:
                _draw(ax, place, line, _style(line.comparison, look))
        _scale(ax, [x for line in compared for x in _extent(line)])
        ax.set_yticks(range(len(lines)), [short(line.name, 60) for line in lines])
        for text, line in zip(ax.get_yticklabels(), lines, strict=True):
            text.set_fontweight("bold" if line.heading else "normal")
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(len(lines) - 0.4, -0.6)
        ax.set_xlabel(f"{short(a, 24)} is so many times as fast as {short(b, 24)}")
        ax.grid(visible=False, axis="y")
        legend(figure, _entries(compared, look, delta))

    rows = []
    for line in compared:
        ends = ("n/a" if end is None else f"{end:.3f}" for end in (line.ratio.low, line.ratio.high))
        c = line.comparison
        rows.append([line.group, c.a, c.b, f"{line.ratio.value:.3f}", *ends, str(line.ratio.blocks), c.verdict])
    return drawn(
        "forest", title, draw,
        caption=f"Right of 1 the first is faster. Thick lines are {100 * results.settings.compare.confidence:g} % intervals, "
        f"ticks are blocks, the band is what does not matter (within {100 * delta:g} %). A verdict has the colour and the "
        f"marker of who is faster.{several(len(compared), len(every), 'comparisons')}",
        titles=["group", "first", "second", "ratio", "low", "high", "blocks", "verdict on the first"], rows=rows,
        size=(9.4, 1.2 + 0.24 * len(lines)),
    )  # fmt: skip


def _lines(every: Sequence[Comparison], *, only_groups: bool) -> list[Line]:
    """A heading per group and below it its pairs; only_groups: there is but one pair, so that groups are lines themselves."""
    names = names_of(c.group for c in every)
    found = []
    for group, mine in grouped(every, lambda c: c.group).items():
        name = f"{'training' if group.task == 'train' else 'inference'}: {names[group]}"
        made = [
            Line(
                group=name, name=name if only_groups else f"{short(c.a, 28)} / {short(c.b, 28)}", comparison=c, ratio=c.ratio
            )
            for c in mine
            if c.ratio is not None
        ]  # fmt: skip
        if not only_groups:
            found.append(Line(group=name, name=name, comparison=mine[0], ratio=made[0].ratio, heading=True))
        found += made
    return found


def _cut(lines: Sequence[Line]) -> list[Line]:
    """The first of them, with MOST comparisons at most, and no heading at the end."""
    found: list[Line] = []
    left = MOST
    for line in lines:
        if left == 0:
            break
        left -= 0 if line.heading else 1
        found.append(line)
    return found


def _extent(line: Line) -> list[float]:
    ends = [end for end in (line.ratio.low, line.ratio.high) if end is not None]
    return [line.ratio.value, *ends, *(math.exp(log) for log in line.comparison.log_ratios)]


UNDECIDED: dict[str, Any] = {"marker": "h", "fillstyle": "none", "markersize": 7}
EQUIVALENT: dict[str, Any] = {"marker": "h", "fillstyle": "full", "markersize": 7}


def _style(c: Comparison, look: Look) -> dict[str, Any]:
    """Of who is faster; grey where nobody is."""
    if c.verdict == "faster":
        return look.styles[c.a].marker()
    if c.verdict == "slower":
        return look.styles[c.b].marker()
    return {**(EQUIVALENT if c.verdict == "equivalent" else UNDECIDED), "color": LIGHT.muted}


def _draw(ax: Axes, place: int, line: Line, style: dict[str, Any]) -> None:
    blocks = [math.exp(log) for log in line.comparison.log_ratios]
    ax.plot(blocks, [place] * len(blocks), "|", color=LIGHT.muted, markersize=8, markeredgewidth=0.8)
    if line.ratio.low is not None and line.ratio.high is not None:
        ends = [line.ratio.low, line.ratio.high]
        ax.plot(ends, [place, place], "-", color=style["color"], linewidth=3, solid_capstyle="butt")
    ax.plot(line.ratio.value, place, **{"linestyle": "none", **style})


def _entries(lines: Sequence[Line], look: Look, delta: float) -> list[tuple[str, Artist]]:
    from matplotlib.patches import Patch

    verdicts = {line.comparison.verdict for line in lines}
    faster = {line.comparison.a for line in lines if line.comparison.verdict == "faster"}
    faster |= {line.comparison.b for line in lines if line.comparison.verdict == "slower"}
    found = [entry(f"{arm} faster", **look.styles[arm].marker()) for arm in look.styles if arm in faster]
    if "equivalent" in verdicts:
        found.append(entry("equivalent", color=LIGHT.muted, **EQUIVALENT))
    if verdicts - {"faster", "slower", "equivalent"}:
        found.append(entry("no verdict", color=LIGHT.muted, **UNDECIDED))
    found.append(entry("a block", marker="|", markersize=8, color=LIGHT.muted))
    return [*found, (f"within {100 * delta:g} %", Patch(color=LIGHT.grid, linewidth=0))]


def _scale(ax: Axes, values: Sequence[float]) -> None:
    """A logarithmic axis, on which 2 and 1/2 are equally far from 1, with ticks that people read."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = min([*values, 0.97]) / 1.02, max([*values, 1.03]) * 1.02
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ticks = [tick for tick in TICKS if low <= tick <= high]
    room = 0.05 * math.log(high / low)
    if any(math.log(after / before) < room for before, after in itertools.pairwise(ticks)):
        ticks = [tick for tick in FEWER_TICKS if low <= tick <= high]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:g}"))
