"""Axes with numbers as people write them, and legends whose entries are what they say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from mlbench_core.report.charts.style import short

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAR_APART = 20.0
"""Ratio of the largest to the smallest value from which only a logarithmic axis shows both (own)."""
WIDE = 1_000
"""Numbers from which three in a decade of a small axis would run into each other (own)."""
CHARACTERS = 11.0
"""Of a legend, in an inch."""


def scale(ax: Axes, axis: Literal["x", "y"], values: Sequence[float], *, logarithmic: bool | None = None) -> None:
    """Sets an axis for positive values: from 0 on, or logarithmic, by itself if they are far apart."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    one = ax.xaxis if axis == "x" else ax.yaxis
    if far_apart(values) if logarithmic is None else logarithmic:
        (ax.set_xscale if axis == "x" else ax.set_yscale)("log")
        decades = math.log10(max(values) / min(values))
        within = (1.0, 3.0) if axis == "x" and max(values) >= WIDE else (1.0, 2.0, 5.0)
        one.set_major_locator(LogLocator(subs=within if decades < 1.8 else (1.0,), numticks=4 if axis == "x" else 6))
        one.set_minor_locator(NullLocator())
    else:
        (ax.set_xlim if axis == "x" else ax.set_ylim)(0, 1.08 * max(values, default=1.0))
        one.set_major_locator(MaxNLocator(4 if axis == "x" else 5, steps=[1, 2, 2.5, 5, 10]))
    one.set_major_formatter(FuncFormatter(lambda value, _place: plain_number(value)))


def plain_number(value: float) -> str:
    """1,000 and 3M rather than 1e3 or a power of ten."""
    if value >= 1e6:
        return f"{value / 1e6:,.10g}M"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.10g}"


def far_apart(values: Sequence[float]) -> bool:
    """Whether values are so far apart that only a logarithmic axis shows them."""
    known = [value for value in values if value > 0]
    return bool(known) and max(known) > FAR_APART * min(known)


def legend(figure: Figure, entries: Sequence[tuple[str, Artist]]) -> None:
    """One legend for the figure, above its axes, in as many columns as fit."""
    names = [short(name) for name, _ in entries]
    columns = int(CHARACTERS * figure.get_figwidth() / (max(map(len, names)) + 6))
    made = figure.legend(
        [artist for _, artist in entries],
        [str(place) for place in range(len(names))],
        loc="outside upper left",
        ncols=max(1, min(len(names), columns)),
    )
    # Afterwards, because matplotlib leaves out labels that begin with an underscore, and a name may.
    for text, name in zip(made.get_texts(), names, strict=True):
        text.set_text(name)


def entry(name: str, **style: Any) -> tuple[str, Artist]:
    """An entry of a legend: a line or marker with matplotlib's keywords for one."""
    from matplotlib.lines import Line2D

    return name, Line2D([], [], **{"linestyle": "none", **style})
