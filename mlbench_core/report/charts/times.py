"""Charts over time: when a compiled arm has caught up, memory over a trial, and how step times are distributed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING

from mlbench_core.record import Record
from mlbench_core.report.charts.axes import scale
from mlbench_core.report.charts.chart import Chart, drawn, empty
from mlbench_core.report.charts.panels import PANELS, Entries, arms_legend, draw_panels, grid_size
from mlbench_core.report.charts.series import arm_of, names_of
from mlbench_core.report.charts.style import Look, several
from mlbench_core.results import Results
from mlbench_core.results.columns import decimal, whole
from mlbench_core.results.groups import group_of, grouped
from mlbench_core.results.metrics import MB
from mlbench_core.stats.order import quantile
from mlbench_core.stats.time_to import time_to

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
SHARES = [place / 100 for place in range(101)]
"""Shares whose quantiles are plotted."""
SAMPLES = 120
"""Samples of a time line that are plotted at most: more cannot be told apart."""


def compile_crossover(results: Results, look: Look) -> Chart:
    """Seconds until N training steps are done, compilation included."""
    title = "Time to N training steps, compilation included"
    panels = _by_group(
        results, look, lambda record: bool(record.measured.values) and record.measured.first_step_s is not None
    )
    if not panels:
        return empty("compile_crossover", title, "A training trial that ended well fills it.")
    names = list(panels)[:PANELS]
    lines = {name: {arm: _start_and_step(found) for arm, found in panels[name].items()} for name in names}

    def draw(ax: Axes, name: str) -> None:
        for arm, (first, step) in lines[name].items():
            seconds = [time_to(n, first, step) for n in STEPS]
            ax.plot(STEPS, seconds, markevery=3, markersize=5, **look.styles[arm].line())
        scale(ax, "x", STEPS, logarithmic=True)
        scale(
            ax, "y", [time_to(n, first, step) for first, step in lines[name].values() for n in STEPS], logarithmic=True
        )

    rows = [
        [
            name,
            arm,
            f"{first:.3f}",
            f"{1e3 * step:.4g}",
            *(decimal(time_to(n, first, step)) for n in (100, 1_000, 10_000)),
        ]
        for name in names
        for arm, (first, step) in lines[name].items()
    ]
    return drawn(
        "compile_crossover", title,
        draw_panels(names, draw, _legend(panels, names, look), x_label="training steps", y_label="seconds"),
        caption="Medians over blocks. Where two lines cross, the one that started later has caught up."
        + several(len(names), len(panels), "groups")
        + look.note,
        titles=["group", "arm", "first step s", "ms/step", "100 steps s", "1,000 steps s", "10,000 steps s"], rows=rows,
        size=grid_size(len(names)),
    )  # fmt: skip


def _start_and_step(records: Sequence[Record]) -> tuple[float, float]:
    firsts = [record.measured.first_step_s or 0.0 for record in records]
    return median(firsts), median(record.seconds_per_step() for record in records)


def memory_over_time(results: Results, look: Look) -> Chart:
    """The worker's memory over the life of the first training trial of each arm."""
    title = "Memory over a training trial"
    panels = _by_group(results, look, lambda record: len(record.observed.timeline.seconds) > 1)
    if not panels:
        return empty("memory_over_time", title, "A training trial of some seconds fills it.")
    names = list(panels)[:PANELS]

    def draw(ax: Axes, name: str) -> None:
        for arm, found in panels[name].items():
            seconds, sizes = _line(found[0])
            every = max(1, len(seconds) // 6)
            ax.plot(seconds, sizes, markevery=every, markersize=4, **look.styles[arm].line())
        lines = [_line(found[0]) for found in panels[name].values()]
        scale(ax, "x", [seconds for line, _ in lines for seconds in line], logarithmic=False)
        scale(ax, "y", [size for _, line in lines for size in line], logarithmic=False)

    rows = []
    for name in names:
        for arm, found in panels[name].items():
            seconds, sizes = _line(found[0])
            rows.append([name, arm, f"{seconds[-1]:.1f}", whole(max(sizes)), whole(sizes[-1])])
    return drawn(
        "memory_over_time", title,
        draw_panels(names, draw, _legend(panels, names, look), x_label="seconds since its start", y_label="MB"),
        caption="The first block's process: on its GPU where it has one, else resident memory."
        + several(len(names), len(panels), "groups")
        + look.note,
        titles=["group", "arm", "seconds", "highest MB", "last MB"], rows=rows, size=grid_size(len(names)),
    )  # fmt: skip


def _line(record: Record) -> tuple[list[float], list[float]]:
    line = record.observed.timeline
    sizes = line.device_bytes or line.host_bytes
    stride = -(-len(line.seconds) // SAMPLES)
    return line.seconds[::stride], [size / MB for size in sizes[::stride]]


def step_times(results: Results, look: Look) -> Chart:
    """The distribution of the measured step times: the share of values below each time."""
    title = "Distribution of step times"
    panels = _by_group(results, look, lambda record: bool(record.measured.values))
    if not panels:
        return empty("step_times", title, "A training trial that ended well fills it.")
    names = list(panels)[:PANELS]
    values = {name: {arm: _steps_ms(found) for arm, found in panels[name].items()} for name in names}

    def draw(ax: Axes, name: str) -> None:
        from matplotlib.ticker import MaxNLocator

        for arm, found in values[name].items():
            ax.plot(
                [quantile(found, share) for share in SHARES], SHARES, markevery=20, markersize=4,
                **look.styles[arm].line(),
            )  # fmt: skip
        ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        ax.set_ylim(-0.04, 1.04)

    rows = [
        [name, arm, *(f"{quantile(found, share):.4g}" for share in (0.05, 0.5, 0.95)), str(len(found))]
        for name in names
        for arm, found in values[name].items()
    ]  # fmt: skip
    return drawn(
        "step_times", title,
        draw_panels(names, draw, _legend(panels, names, look), x_label="ms per step", y_label="share of values"),
        caption="All blocks' values together; the steeper, the steadier." + several(len(names), len(panels), "groups")
        + look.note,
        titles=["group", "arm", "5 % below, ms", "half below, ms", "95 % below, ms", "values"], rows=rows,
        size=grid_size(len(names)),
    )  # fmt: skip


def _steps_ms(records: Sequence[Record]) -> list[float]:
    """Sorted."""
    return sorted(
        1e3 * value / (1 if record.measured.calibration is None else record.measured.calibration.steps_per_value)
        for record in records
        for value in record.measured.values
    )


def _by_group(results: Results, look: Look, wanted: Callable[[Record], bool]) -> dict[str, dict[str, list[Record]]]:
    """The training records of each group's name, by arm."""
    mine = [
        r for r in results.records
        if r.trial.task == "train" and r.status == "ok" and arm_of(r) in look.styles and wanted(r)
    ]  # fmt: skip
    groups = grouped(mine, lambda record: group_of(record.trial))
    names = names_of(groups)
    return {names[group]: grouped(found, arm_of) for group, found in groups.items()}


def _legend(panels: Mapping[str, Mapping[str, object]], names: Sequence[str], look: Look) -> Entries:
    return arms_legend((arm for name in names for arm in panels[name]), look, lines=True)
