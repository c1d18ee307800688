"""What a chart is, and how it is drawn."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from mlbench_core.plain_text import clean
from mlbench_core.report.charts.style import LIGHT, SETTINGS, stylesheet
from mlbench_core.report.charts.svg import for_page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 300
Draw = Callable[["Figure"], None]
"""Draws on an empty figure, with the colours of a LIGHT."""


@frozen(kw_only=True)
class Figures:
    """The figures that a chart shows, as a table: `rows` of texts as long as `titles`."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@frozen(kw_only=True)
class Chart:
    """One chart of the report.

    name: of its files and its anchor. caption: what to see in it, and what was left out. svg: one <svg> element for a page that
    sets the variables of `style.LIGHT`; None where there is nothing to show, and `missing` says what would fill it.
    png: the same at 300 dpi in light colours; None where there is none.
    draw: makes the drawing anew, `size` inches large; None where there is none. The figure itself is not kept: those of a
    large run would take a third of a gibibyte.
    """

    name: str
    title: str
    caption: str = ""
    svg: str | None = None
    figures: Figures = Figures(titles=(), rows=())
    missing: str = ""
    png: bytes | None = field(default=None, repr=False)
    draw: Draw | None = field(default=None, repr=False, eq=False)
    size: tuple[float, float] = (8.0, 4.0)

    def standalone(self) -> str:
        """The SVG as a file of its own, light or dark as its viewer is."""
        assert self.svg is not None
        start = self.svg.index(">") + 1
        return f'<?xml version="1.0" encoding="utf-8"?>\n{self.svg[:start]}<style>{stylesheet()}</style>{self.svg[start:]}\n'

    def figure(self) -> Figure:
        """The chart in light colours as matplotlib's figure, drawn anew."""
        assert self.draw is not None
        return _figure(self.draw, self.size)


def empty(name: str, title: str, missing: str) -> Chart:
    """A chart with nothing to show. missing: what would fill it."""
    return Chart(name=name, title=clean(title), missing=missing)


def drawn(
    name: str,
    title: str,
    draw: Draw,
    *,
    caption: str,
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    size: tuple[float, float],
) -> Chart:
    """A chart from its drawing and the table of what it shows. size: inches."""
    figure = _figure(draw, size)
    _lay_out(figure)
    svg = _saved(figure, "svg", salt=name)
    return Chart(
        name=name,
        title=clean(title),
        caption=clean(caption),
        svg=for_page(svg, name, clean(title)),
        figures=Figures(
            titles=tuple(clean(title) for title in titles), rows=tuple(tuple(map(clean, row)) for row in rows)
        ),
        png=_saved(figure, "png"),
        draw=draw,
        size=size,
    )


def _figure(draw: Draw, size: tuple[float, float]) -> Figure:
    """Without pyplot, so that nothing is kept between charts."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with _look():
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
    return figure


def _lay_out(figure: Figure) -> None:
    """Lays a figure out for SVG, for good: `savefig` would do it anew for each format, and draw everything for that."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    engine = figure.get_layout_engine()
    assert engine is not None
    FigureCanvasSVG(figure)
    figure.set_dpi(72)  # an SVG's unit is the point
    with _look():
        engine.execute(figure)
    figure.set_layout_engine(None)


def _saved(figure: Figure, kind: str, salt: str = "") -> bytes:
    """Without a date, so that the same input gives the same bytes. salt: makes the ids of an SVG unlike those of others."""
    target = io.BytesIO()
    with _look(salt):
        if kind == "svg":  # the page's background is seen through it
            figure.savefig(target, format=kind, facecolor="none", metadata={"Date": None, "Creator": None})
        else:
            # Compressed by runs of equal pixels alone (zlib's Z_RLE): two thirds of the time, and a quarter more bytes.
            fast = {"compress_type": 3}
            figure.savefig(
                target, format=kind, facecolor=LIGHT.bg, dpi=DPI, metadata={"Software": None}, pil_kwargs=fast
            )
    return target.getvalue()


@contextmanager
def _look(salt: str = "") -> Iterator[None]:
    """Has matplotlib draw as all charts are drawn. salt: as of `_saved`."""
    import matplotlib

    settings: dict[Any, Any] = {**SETTINGS, **LIGHT.settings(), "svg.hashsalt": salt}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # About characters that matplotlib's font lacks: in the SVG they are text, in the PNG boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing|Matplotlib currently does not support")
        yield
