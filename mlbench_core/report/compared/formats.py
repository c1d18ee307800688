"""A comparison of runs as a document of each format."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence

from mlbench_core.compare.gate import GateResult
from mlbench_core.compare.judge import RunComparison
from mlbench_core.plain_text import clean, markdown, spreadsheet
from mlbench_core.report.compared.lines import TITLES, Said
from mlbench_core.serialize import to_json

MARKER = "<!-- mlbench-compare -->"
"""Ends the Markdown: an action that updates its comment looks for it."""
LONGEST = 65_000
"""Characters of the Markdown: a comment on GitHub may have 65,536."""


def as_markdown(said: Said, comparison: RunComparison, found: GateResult) -> str:
    """For a comment: what failed first, then whole sections while there is room, with a count of what is left out."""
    head = [f"# {markdown(said.title)}", "", _headline(said, found)]
    sections = [
        ("What was met", [f"- {markdown(line)}" for line in said.met]),
        ("Differences between the runs", [f"- {markdown(line)}" for line in said.facts]),
        ("Every cell", _table(said.rows)),
        ("In one run only", [f"- {markdown(line)}" for line in said.unmatched]),
        ("Failed", [f"- {markdown(line)}" for line in said.failed]),
        ("Means", [f"- {markdown(line)}" for line in said.means]),
    ]
    text = "\n".join(head)
    left_out = []
    for title, lines in sections:
        if not lines:
            continue
        part = "\n".join(["", "", f"<details open><summary>{title}</summary>", "", *lines, "", "</details>"])
        if len(text) + len(part) > LONGEST - 500:
            left_out.append(f"{title} ({len(lines):,} lines)")
        else:
            text += part
    if left_out:
        text += f"\n\nLeft out for length: {', '.join(left_out)}. The JSON and CSV exports have all of it."
    return f"{text}\n\n{MARKER}\n"


def _headline(said: Said, found: GateResult) -> str:
    counts: dict[str, int] = {}
    for verdict in said.verdicts:
        counts[verdict] = counts.get(verdict, 0) + 1
    told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())) or "nothing compared"
    return f"{told}. Status {found.status}."


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(TITLES)} |", f"|{'---|' * len(TITLES)}"]
    return [*lines, *(f"| {' | '.join(markdown(cell) for cell in row)} |" for row in rows)] if rows else []


def as_json(said: Said, comparison: RunComparison, found: GateResult) -> str:
    """Everything, as data."""
    data = {
        "schema": "mlbench-compare",
        "schema_version": 1,
        "title": said.title,
        "status": found.status,
        "met": found.met,
    }
    return json.dumps({**data, **to_json(comparison)}, indent=1) + "\n"


def as_csv(said: Said, comparison: RunComparison, found: GateResult) -> str:
    """A line per cell and metric."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(TITLES)
    writer.writerows([spreadsheet(clean(cell)) for cell in row] for row in said.rows)
    return text.getvalue()


def as_junit(said: Said, comparison: RunComparison, found: GateResult) -> str:
    """slower is a failure, inconclusive and not comparable are skipped, a cell whose trials failed is an error."""
    suite = ET.Element("testsuite", name="mlbench compare")
    counts = {"failures": 0, "errors": 0, "skipped": 0}
    for one, row in zip(comparison.judged, said.rows, strict=True):
        case = ET.SubElement(suite, "testcase", classname=clean(one.metric), name=clean(one.cell.name))
        text = clean(f"{row[4]} ({row[5]}), {row[8]} {row[9]}".strip())
        if one.verdict == "slower":
            ET.SubElement(case, "failure", message=text)
            counts["failures"] += 1
        elif one.verdict in ("inconclusive", "not comparable"):
            ET.SubElement(case, "skipped", message=text)
            counts["skipped"] += 1
    for line in said.failed:
        case = ET.SubElement(suite, "testcase", classname="trials", name=clean(line.partition(": ")[0]))
        ET.SubElement(case, "error", message=clean(line))
        counts["errors"] += 1
    suite.attrib |= {"tests": str(len(suite)), **{name: str(count) for name, count in counts.items()}}
    root = ET.Element("testsuites")
    root.append(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def as_html(said: Said, comparison: RunComparison, found: GateResult) -> str:
    """One page that needs nothing else, of the report's parts."""
    from mlbench_core.report.compared.html import page

    return page(said, _headline(said, found))


Format = Callable[[Said, RunComparison, GateResult], str]
FORMATS: Mapping[str, Format] = {
    "markdown": as_markdown,
    "json": as_json,
    "csv": as_csv,
    "html": as_html,
    "junit": as_junit,
}
SUFFIXES = {".md": "markdown", ".json": "json", ".csv": "csv", ".html": "html", ".xml": "junit"}
"""Which format a file that is exported has, by its suffix."""
