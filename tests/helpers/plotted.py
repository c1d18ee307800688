"""What a chart plots, read back from its drawing."""

from matplotlib.axes import Axes

from mlbench_core import Results
from mlbench_core.report.charts import KINDS, Chart, look_of

MARKS = {"o", "s", "^", "D", "v", "P", "X", "*", "h"}


def one(results: Results, name: str) -> Chart:
    """The chart of that name, without the others."""
    kind = next(kind for kind in KINDS if kind.__name__ == name)
    return kind(results, look_of(record.trial for record in results.records))


def axes_of(chart: Chart) -> list[Axes]:
    """The axes that hold something."""
    return [ax for ax in chart.figure().axes if ax.axison]


def title_of(ax: Axes) -> str:
    return ax.get_title(loc="left")


def markers(ax: Axes) -> list[tuple[float, float]]:
    """Where markers that no line joins are, the caps of error bars left out."""
    drawn = [line for line in ax.lines if line.get_marker() in MARKS]
    single = [line.get_data() for line in drawn if line.get_linestyle() == "None" or len(line.get_xdata()) == 1]
    return [spot for x, y in single for spot in zip(x, y, strict=True)]


def lines(ax: Axes) -> list[tuple[list[float], list[float]]]:
    """The points of the lines, horizontal and vertical, the caps of error bars left out."""
    drawn = (line.get_data() for line in ax.lines if line.get_marker() != "_")
    return [(list(x), list(y)) for x, y in drawn if len(x) > 1]


def bars(ax: Axes, direction: int = 0) -> list[tuple[float, float]]:
    """The ends of error bars. direction: 0 for horizontal ones, 1 for vertical ones."""
    drawn = [container.lines[2] for container in ax.containers]
    segments = [segment for parts in drawn if parts for segment in parts[0].get_segments()]
    return [(start[direction], end[direction]) for start, end in segments]
