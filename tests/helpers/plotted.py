"""What a chart plots, read back from its drawing."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from matplotlib.axes import Axes

from mlbench_core import Results
from mlbench_core.report.charts import KINDS, Chart, chart, look_of

NO_CHARACTER = "\x00\x1b[31m\u202e\ufffe\n"
HOSTILE = ("</script><img src=x onerror=alert(1)>", "$\\frac{1}$", "_a", "a (b)", "日本語 🎉", NO_CHARACTER, "=" * 300)
"""Names that are anybody's text."""
MARKS = {"o", "s", "^", "D", "v", "P", "X", "*", "h"}


@contextmanager
def no_pictures() -> Iterator[None]:
    """Charts get their SVG and an empty PNG meanwhile, which is half of the time; test_pictures.py looks at PNGs."""
    saved = chart._saved
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            chart, "_saved", lambda figure, kind, salt="": b"" if kind == "png" else saved(figure, kind, salt)
        )
        yield


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
