"""Throughput against latency, with the arms that no other beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mlbench_core.report.charts.axes import entry, scale
from mlbench_core.report.charts.chart import Chart, drawn, empty
from mlbench_core.report.charts.metrics import latency
from mlbench_core.report.charts.panels import PANELS, arms_legend, draw_panels, grid_size
from mlbench_core.report.charts.series import Part, names_of, points
from mlbench_core.report.charts.style import LIGHT, Look, several
from mlbench_core.results import Results
from mlbench_core.results.columns import count, decimal
from mlbench_core.results.groups import grouped
from mlbench_core.results.metrics import samples_per_second

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

PANEL: tuple[Part, ...] = ("model", "device", "node", "precision", "dataset")
FRONT = "not beaten in both"
LABELLED = 12
"""Markers in a panel at most that say their batch size: more would cover each other (own)."""


@frozen(kw_only=True)
class Spot:
    """One arm with one batch size of training. rate: training samples per second; ms: median latency of inference."""

    panel: str
    arm: str
    batch_size: int
    rate: float
    ms: float


def throughput_latency(results: Results, look: Look) -> Chart:
    """Training throughput over the median latency of inference, a panel per model, device and precision."""
    title = "Throughput against latency"
    spots = _spots(results, look)
    if not spots:
        return empty("throughput_latency", title, "Training and inference trials with at least 11 queries fill it.")
    panels = grouped(spots, lambda spot: spot.panel)
    names = list(panels)[:PANELS]
    sizes = len({spot.batch_size for spot in spots}) > 1

    def draw(ax: Axes, name: str) -> None:
        front = pareto([(spot.rate, spot.ms) for spot in panels[name]])
        ax.plot([ms for _, ms in front], [rate for rate, _ in front], **_ring(), linestyle=":")
        for spot in panels[name]:
            ax.plot(spot.ms, spot.rate, linestyle="none", **look.styles[spot.arm].marker())
            if sizes and len(panels[name]) <= LABELLED:
                ax.annotate(
                    str(spot.batch_size), (spot.ms, spot.rate), xytext=(-7, 0), textcoords="offset points", ha="right",
                    va="center", fontsize=8, color=LIGHT.muted,
                )  # fmt: skip
        scale(ax, "x", [spot.ms for spot in panels[name]])
        scale(ax, "y", [spot.rate for spot in panels[name]])

    def entries() -> list[tuple[str, Artist]]:
        arms = (spot.arm for name in names for spot in panels[name])
        return [*arms_legend(arms, look, lines=False)(), entry(FRONT, linestyle=":", **_ring())]

    rows = []
    for name in names:
        front = pareto([(spot.rate, spot.ms) for spot in panels[name]])
        for spot in panels[name]:
            best = "yes" if (spot.rate, spot.ms) in front else "no"
            rows.append([name, spot.arm, str(spot.batch_size), count(spot.rate), decimal(spot.ms), best])
    return drawn(
        "throughput_latency", title,
        draw_panels(names, draw, entries, x_label="median latency, ms", y_label="training samples per second"),
        caption="The best is at the upper left: rings mark what no other arm beats in both. Geometric means over blocks"
        + ("; numbers are batch sizes of training." if sizes else ".") + several(len(names), len(panels), "panels") + look.note,
        titles=["model", "arm", "batch size", "samples per second", "median latency, ms", FRONT], rows=rows,
        size=grid_size(len(names), 2.5),
    )  # fmt: skip


def _spots(results: Results, look: Look) -> list[Spot]:
    slow = points(results, look, "infer", latency(50.0))
    fast = points(results, look, "train", samples_per_second)
    panels = names_of((point.group for point in [*slow, *fast]), PANEL)
    latencies = {(panels[p.group], p.arm): p.estimate.value for p in slow}
    return [
        Spot(panel=panels[p.group], arm=p.arm, batch_size=p.group.batch_size, rate=p.estimate.value, ms=ms)
        for p in fast
        if (ms := latencies.get((panels[p.group], p.arm))) is not None
    ]


def _ring() -> dict[str, Any]:
    return {"marker": "o", "markersize": 12, "fillstyle": "none", "color": LIGHT.muted, "linewidth": 1.2}


def pareto(spots: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those of (more is better, less is better) that no other equals or beats in both, by the second."""
    return sorted(
        {
            one
            for one in spots
            if not any(other != one and other[0] >= one[0] and other[1] <= one[1] for other in spots)
        },
        key=lambda spot: spot[1],
    )
