"""How speed changes with the batch size and with the number of devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbench_core.report.charts.axes import scale
from mlbench_core.report.charts.chart import Chart, drawn, empty
from mlbench_core.report.charts.panels import PANELS, arms_legend, draw_panels, grid_size
from mlbench_core.report.charts.series import Part, names_of, points
from mlbench_core.report.charts.style import Look, several
from mlbench_core.results import Results
from mlbench_core.results.columns import count
from mlbench_core.results.groups import grouped
from mlbench_core.results.metrics import samples_per_second

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL: tuple[Part, ...] = ("model", "device", "node", "precision", "dataset")
TICKS = 8
"""Batch sizes that are written at an axis at most; further ones have their place and no number."""


def batch_size(results: Results, look: Look) -> Chart:
    """Training throughput over batch sizes, a panel per model, device and precision."""
    title = "Training throughput over batch sizes"
    found = points(results, look, "train", samples_per_second)
    if len({point.group.batch_size for point in found}) < 2:
        return empty("batch_size", title, "A run with several batch sizes fills it: --batch-sizes 32 64 128.")
    named = names_of((point.group for point in found), PANEL)
    panels = grouped(found, lambda point: named[point.group])
    names = list(panels)[:PANELS]

    def draw(ax: Axes, name: str) -> None:
        for arm, mine in grouped(panels[name], lambda point: point.arm).items():
            line = sorted(mine, key=lambda point: point.group.batch_size)
            values = [point.estimate for point in line]
            lows = [0.0 if e.low is None else e.value - e.low for e in values]
            highs = [0.0 if e.high is None else e.high - e.value for e in values]
            ax.errorbar(
                [point.group.batch_size for point in line], [e.value for e in values],
                yerr=[lows, highs] if any(highs) else None, capsize=3, **look.styles[arm].line(),
            )  # fmt: skip
        sizes = sorted({point.group.batch_size for point in panels[name]})
        ax.set_xscale("log", base=2)
        ax.set_xlim(sizes[0] / 1.15, sizes[-1] * 1.15)
        ax.set_xticks(sizes, [str(size) for size in sizes] if len(sizes) <= TICKS else _sparse(sizes))
        ax.minorticks_off()
        scale(ax, "y", [point.estimate.value for point in panels[name]])

    rows = [
        [name, point.arm, str(point.group.batch_size), *point.estimate.words(count), str(point.estimate.blocks)]
        for name in names
        for point in panels[name]
    ]
    entries = arms_legend((point.arm for name in names for point in panels[name]), look, lines=True)
    return drawn(
        "batch_size", title,
        draw_panels(names, draw, entries, x_label="batch size", y_label="samples per second"),
        caption=f"Bars are 95 % intervals over blocks.{several(len(names), len(panels), 'panels')}{look.note}",
        titles=["model", "arm", "batch size", "samples per second", "low", "high", "blocks"], rows=rows,
        size=grid_size(len(names)),
    )  # fmt: skip


def _sparse(sizes: list[int]) -> list[str]:
    stride = -(-len(sizes) // TICKS)
    return [str(size) if place % stride == 0 else "" for place, size in enumerate(sizes)]
