"""Charts of small panels with one legend: how they are laid out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from mlbench_core.report.charts.axes import entry, legend
from mlbench_core.report.charts.style import Look, short

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = 12
"""Panels in one chart at most (own)."""
COLUMNS = 3
WIDTHS = (4.8, 7.2, 9.4)
"""Inches of a figure with so many columns."""
Entries = Callable[[], list[tuple[str, "Artist"]]]
"""The entries of the legend in the colours of a LIGHT."""


def grid_size(count: int, height: float = 2.3) -> tuple[float, float]:
    """Inches for so many panels of a height, and a legend above them."""
    columns = min(COLUMNS, count)
    return (WIDTHS[columns - 1], 0.7 + height * -(-count // columns))


def arms_legend(arms: Iterable[str], look: Look, *, lines: bool) -> Entries:
    """An entry per arm. lines: with the arm's line."""
    shown = dict.fromkeys(arms)

    def entries() -> list[tuple[str, Artist]]:
        styles = [(arm, look.styles[arm]) for arm in shown]
        return [entry(arm, **(style.line() if lines else style.marker())) for arm, style in styles]

    return entries


def draw_panels(
    names: Sequence[str],
    draw: Callable[[Axes, str], None],
    entries: Entries,
    *,
    x_label: str,
    y_label: str = "",
    share_y: bool = False,
) -> Callable[[Figure], None]:
    """A drawing of one panel per name, labelled at its edges. share_y: one vertical axis for all, labelled at the left."""

    def drawing(figure: Figure) -> None:
        columns = min(COLUMNS, len(names))
        rows = -(-len(names) // columns)
        axes = figure.subplots(rows, columns, squeeze=False, sharey=share_y)
        for place, ax in enumerate(axes.flat):
            if place >= len(names):
                ax.set_axis_off()
                continue
            draw(ax, names[place])
            ax.set_title(short(names[place], 28))
            if place % columns == 0 and y_label:
                ax.set_ylabel(y_label)
            if place + columns >= len(names):
                ax.set_xlabel(x_label)
        legend(figure, entries())

    return drawing
