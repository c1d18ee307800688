"""Names are anybody's text: wherever a run or a results file is shown, they show as text."""

import csv
import io
import re
from pathlib import Path

import pytest
from attrs import evolve
from made import made
from rich.console import Console

from mlbench_core import Results
from mlbench_core.plain_text import FORMULA
from mlbench_core.report import parity, terminal
from mlbench_core.report.files import CSV_NAME, write_csv
from mlbench_core.report.progress import TrialProgress
from mlbench_core.results.storage import NAME, save

NAMES = (
    "<script>alert(1)</script>", "a|b", "two\nlines", "\x1b[31mred\x1b[0m", "\u202egnp.exe", "[red]markup[/]", "=1+1",
    "@SUM(A1)", "-2", "\t=3",
)  # fmt: skip
HIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that a terminal acts on, all but the line's end."""


@pytest.fixture(scope="module")
def results() -> Results:
    found = made(frameworks=NAMES, models=("=model|\n\x1b[2J", "-"), batch_sizes=(32,), blocks=2, queries=20, values=8)
    failed = tuple(evolve(r, status="failed", reason="broke:\n\x1b[1mbold |") for r in found.records[:2])
    return evolve(found, records=(*failed, *found.records[2:]))


@pytest.mark.parametrize("width", [60, 100, 400])
def test_on_a_terminal(results: Results, width: int) -> None:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    terminal.print_results(console, results)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert not HIDDEN.search(shown)
    if width == 400:
        assert "[red]markup[/]" in shown
        assert r"\u001b[31mred" in shown


def test_while_it_runs(results: Results) -> None:
    console = Console(file=io.StringIO(), width=200, force_terminal=False)
    with TrialProgress(console, [record.trial for record in results.records]) as progress:
        for record in results.records:
            progress.on_event(record.trial, {"event": "start"})
            progress.on_event(record.trial, {"event": "record", "record": record})
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert not HIDDEN.search(shown)
    assert "[red]markup[/]" in shown


def test_in_a_spreadsheet(results: Results, tmp_path: Path) -> None:
    write_csv(results, tmp_path)
    with (tmp_path / CSV_NAME).open(newline="", encoding="utf-8") as file:
        fields = [field for row in csv.reader(file) for field in row]
    numbers = [field for field in fields if re.fullmatch(r"-?[\d.]+(e-?\d+)?", field)]
    texts = [field for field in fields if field not in numbers]
    assert not [text for text in texts if text.startswith(FORMULA) or HIDDEN.search(text) or "\n" in text]
    assert {"'=1+1", "'@SUM(A1)", "'-2", r"two\u000alines"} <= set(texts)


def test_in_markdown(results: Results, tmp_path: Path) -> None:
    (path,) = parity.write(results, tmp_path)
    text = path.read_text(encoding="utf-8")
    assert not HIDDEN.search(text)
    assert "<script" not in text
    bars = {len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("|")}
    assert len(bars) == 2  # two tables, each with as many cells in every row


def test_the_results_file_keeps_them_as_they_are(results: Results, tmp_path: Path) -> None:
    assert Results.load(save(results, tmp_path / NAME)) == results
    assert (tmp_path / NAME).read_bytes().isascii()
