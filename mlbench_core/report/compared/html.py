"""A comparison of runs as one HTML page, with the report's style, script and tables."""

from __future__ import annotations

from importlib.metadata import version

from markupsafe import Markup

from mlbench_core.report.compared.lines import TITLES, Said
from mlbench_core.report.html import asset, environment, policy_hash
from mlbench_core.report.sections import VERDICT_KINDS
from mlbench_core.report.tables import Cell, Heading, Table, number, rows_of, text

NUMBERS = ("ratio", "p (Holm)")


def page(said: Said, headline: str) -> str:
    """The whole page."""
    style, script = asset("style.css"), asset("script.js")
    table = Table(
        name="cells",
        caption="Every cell by every metric; above 1 the new run is faster.",
        headings=tuple(Heading(label=title, number=title in NUMBERS) for title in TITLES),
        rows=rows_of([_cell(title, value) for title, value in zip(TITLES, row, strict=True)] for row in said.rows),
        filtered=True,
        sortable=True,
    )
    return (
        environment()
        .get_template("compare.html")
        .render(
            said=said,
            headline=headline,
            table=table,
            style=Markup(style),
            script=Markup(script),
            style_hash=policy_hash(style),
            script_hash=policy_hash(script),
            version=version("mlbench-core"),
        )
    )


def _cell(title: str, value: str) -> Cell:
    if title in NUMBERS and value != "n/a":
        return number(float(value), value)
    return text(value, VERDICT_KINDS.get(value, "") if title == "verdict" else "")
