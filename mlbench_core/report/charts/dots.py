"""The chart that most metrics share: a panel per model and device, in it a line per batch size or precision, on that a marker
per arm with its interval as a bar."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mlbench_core.report.charts.axes import scale
from mlbench_core.report.charts.chart import Chart, drawn, empty
from mlbench_core.report.charts.panels import PANELS, arms_legend, draw_panels, grid_size
from mlbench_core.report.charts.series import Part, Point, names_of
from mlbench_core.report.charts.style import LIGHT, Look, several, short
from mlbench_core.results.groups import grouped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKS = 48
"""Markers in a panel at most (own)."""
BARS = "Bars are 95 % intervals over blocks; one block has none."


@frozen(kw_only=True)
class Mark:
    """A point, and which line of which panel it is on."""

    panel: str
    line: str
    point: Point


def marks(
    found: Iterable[tuple[str, Point]],
    panel: Sequence[Part] = ("model", "device", "node", "dataset"),
    line: Sequence[Part] = ("batch_size", "precision"),
) -> list[Mark]:
    """Points by panel and line. found: each with how the name of its line begins, or empty. panel, line: which parts of groups
    make panels and which lines; those that are the same everywhere are not said."""
    known = list(found)
    groups = [point.group for _, point in known]
    panels, lines = names_of(groups, panel), names_of(groups, line)
    return [
        Mark(panel=panels[point.group], line=", ".join(filter(None, (begin, lines[point.group]))), point=point)
        for begin, point in known
    ]


def plain(found: Iterable[Point]) -> list[Mark]:
    """Points whose lines are of batch sizes and precisions."""
    return marks(("", point) for point in found)


def dots(
    name: str,
    title: str,
    found: Sequence[Mark],
    look: Look,
    *,
    label: str,
    caption: str,
    missing: str,
    show: Callable[[float], str],
) -> Chart:
    """label: of the horizontal axes, with the unit. show: prints a value in the table beside the chart."""
    if not found:
        return empty(name, title, missing)
    arms = [arm for arm in look.styles if any(mark.point.arm == arm for mark in found)]
    all_panels, all_lines = (
        list(dict.fromkeys(names)) for names in zip(*((m.panel, m.line) for m in found), strict=True)
    )
    panels, lines = all_panels[:PANELS], all_lines[: max(1, MARKS // len(arms))]
    shown = [mark for mark in found if mark.panel in panels and mark.line in lines]
    panels = list(dict.fromkeys(mark.panel for mark in shown))
    by_panel = grouped(shown, lambda mark: mark.panel)
    height = len(lines) * (0.16 * len(arms) + 0.12)

    def draw(ax: Axes, panel: str) -> None:
        mine = by_panel[panel]
        for (arm, known), together in grouped(mine, lambda m: (m.point.arm, m.point.estimate.low is not None)).items():
            offset = 0.74 * ((arms.index(arm) + 0.5) / len(arms) - 0.5)
            places = [lines.index(mark.line) + offset for mark in together]
            _draw(ax, [mark.point for mark in together], places, known, look.styles[arm].marker())
        scale(ax, "x", [mark.point.estimate.value for mark in mine])
        for between in range(1, len(lines)):
            ax.axhline(between - 0.5, color=LIGHT.grid, linewidth=0.8)
        ax.set_yticks(range(len(lines)), [short(line, 30) for line in lines])
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(len(lines) - 0.5, -0.5)
        ax.grid(visible=False, axis="y")

    rows = [
        [m.panel, *((m.line,) if any(lines) else ()), m.point.arm, *m.point.estimate.words(show), str(m.point.estimate.blocks)]
        for m in shown
    ]  # fmt: skip
    return drawn(
        name,
        title,
        draw_panels(panels, draw, arms_legend(arms, look, lines=False), x_label=label, share_y=True),
        caption=caption
        + several(len(panels), len(all_panels), "panels")
        + several(len(lines), len(all_lines), "lines of a panel")
        + look.note,
        titles=["model", *(("line",) if any(lines) else ()), "arm", label, "low", "high", "blocks"],
        rows=rows,
        size=grid_size(len(panels), 0.85 + height),
    )


def _draw(ax: Axes, points: Sequence[Point], places: Sequence[float], known: bool, marker: dict[str, Any]) -> None:
    """An arm's points in one call, which is several times faster than one each. known: their intervals are."""
    values = [point.estimate.value for point in points]
    error = None
    if known:
        below = [value - (point.estimate.low or 0.0) for value, point in zip(values, points, strict=True)]
        above = [(point.estimate.high or 0.0) - value for value, point in zip(values, points, strict=True)]
        error = [below, above]
    ax.errorbar(values, places, xerr=error, linestyle="none", capsize=3, **marker)
