"""The report as one HTML file that needs nothing else, and its charts as files."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from attrs import frozen
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mlbench_core.files import replace_bytes, replace_text
from mlbench_core.plain_text import clean
from mlbench_core.report import sections
from mlbench_core.report.advice import advice, said_once
from mlbench_core.report.charts import Chart, charts
from mlbench_core.report.choices import questions
from mlbench_core.report.headline import crossovers, headline
from mlbench_core.report.reading import reading
from mlbench_core.report.reproduce import blocks_wanted, reproduce
from mlbench_core.report.trials import details
from mlbench_core.results import Results
from mlbench_core.results.arms import arms_of
from mlbench_core.results.groups import grouped

NAME = "report.html"
LOG_LINES, LOG_BYTES = 20, 2**14
LOGS = 20
"""Logs whose ends are shown at most."""
SECTIONS = (
    ("answer", "The answer"), ("distrust", "What to distrust"), ("advice", "Recommendations"), ("forest", "Ratios"),
    ("comparisons", "Comparisons"), ("rows", "Cells"), ("charts", "Charts"), ("start", "Time to N steps"),
    ("limits", "Bottleneck and MFU"), ("parity", "Parity"), ("fairness", "Fairness"), ("environment", "Environment"),
    ("failures", "Failures"), ("trials", "Trials"), ("again", "Again"), ("reading", "How to read this"),
)  # fmt: skip


@frozen
class Tail:
    """The end of a log file."""

    name: str
    lines: tuple[str, ...]


def write_html(
    results: Results, folder: Path, title: str, *, source: Path | None = None, with_charts: bool = True
) -> list[Path]:
    """Writes report.html, and charts/NAME.svg and .png, into the folder; the same results give the same bytes.

    source: the results file, beside which logs are looked for. Raises OSError.
    """
    made = charts(results) if with_charts else []
    text = page(results, title, made, source)
    return [replace_text(folder / NAME, text), *_write_charts(made, folder / "charts")]


def page(results: Results, title: str, made: Sequence[Chart], source: Path | None = None) -> str:
    """The whole page."""
    arms = arms_of(results.rows)
    wanted = blocks_wanted(results)
    commands = reproduce(results)
    style, script = asset("style.css"), asset("script.js")
    shown = {"forest": any(chart.name == "forest" for chart in made), "charts": bool(made)}
    return (
        environment()
        .get_template("report.html")
        .render(
            title=clean(title),
            version=version("mlbench-core"),
            source=clean(source.name) if source else "a run's results",
            style=Markup(style),
            script=Markup(script),
            style_hash=policy_hash(style),
            script_hash=policy_hash(script),
            sections=[(anchor, label) for anchor, label in SECTIONS if shown.get(anchor, True)],
            interrupted=results.interrupted,
            forced=results.forced,
            first=headline(results),
            questions=questions(results),
            kinds=sections.VERDICT_KINDS,
            more=commands[1].line if wanted is not None and len(commands) > 1 else "",
            advice=list(grouped(said_once(advice(results)), lambda one: one.use).items()),
            forest=next((chart for chart in made if chart.name == "forest"), None),
            charts=[chart for chart in made if chart.name != "forest"],
            comparisons=sections.comparisons_table(results),
            rows=sections.arms_table(arms),
            start=sections.start_table(arms),
            crossovers=crossovers(results.comparisons),
            limits=sections.limits_table(arms),
            parity=sections.parity_table(results),
            knobs=sections.knobs_table(results),
            machines=sections.machine_tables(results),
            failures=sections.failures_table(results),
            tails=_tails(results, source),
            details=details(results),
            commands=commands,
            reading=reading(results.settings),
        )
    )


def environment() -> Environment:
    """The templates; what they are given is escaped, and names are cleaned."""
    return Environment(
        loader=PackageLoader("mlbench_core.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: clean(value) if type(value) is str else value,
    )


def asset(name: str) -> str:
    """The style sheet or the script that a page holds."""
    return Path(__file__).with_name("templates").joinpath(name).read_text(encoding="utf-8")


def policy_hash(text: str) -> str:
    """As a Content-Security-Policy names what it allows."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _write_charts(made: Sequence[Chart], folder: Path) -> list[Path]:
    """A chart with nothing to show has no files, not even those of an earlier report in the same folder."""
    paths = []
    for chart in made:
        svg, png = folder / f"{chart.name}.svg", folder / f"{chart.name}.png"
        if chart.svg is None or chart.png is None:
            svg.unlink(missing_ok=True)
            png.unlink(missing_ok=True)
        else:
            paths += [replace_text(svg, chart.standalone()), replace_bytes(png, chart.png)]
    return paths


def _tails(results: Results, source: Path | None) -> list[Tail]:
    """The last lines of the logs of failed trials: as the records have them, else from the results file's folder."""
    found: dict[str, Tail] = {}
    for record in results.failures():
        name = Path(record.log).name
        if name and name not in found and len(found) < LOGS:
            lines = record.ending.last_lines or _last_lines(name, source)
            if lines:
                found[name] = Tail(name, tuple(lines))
    return list(found.values())


def _last_lines(name: str, source: Path | None) -> list[str]:
    if source is None:
        return []
    base = source.resolve().parent
    path = base / "logs" / name
    if not os.path.isfile(path):  # unlike Path.is_file and resolve, without an error for a name that no file can have
        return []
    path = path.resolve()  # a link may lead out of the folder
    return _end_of(path).splitlines()[-LOG_LINES:] if path.is_relative_to(base) else []


def _end_of(path: Path) -> str:
    """The last characters of a file, which may be larger than memory: a worker can flood its log."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_BYTES))
        return file.read(LOG_BYTES).decode("utf-8", "replace")
