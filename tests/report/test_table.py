"""The tables at the widths that terminals have: nothing cut, nothing too wide, and what is left out is said."""

import re
from collections.abc import Callable
from functools import cache

import pytest
from made import made
from rich.console import Console, RenderableType
from rich.text import Text

from mlbench_core import Results
from mlbench_core.report.summary import comparison_table, parity_table, summary_table
from mlbench_core.report.table import Fitted, Shown
from mlbench_core.results.comparisons import Comparison
from mlbench_core.verify.rungs import ParityResult, Rung

WIDTHS = [40, 60, 80, 100, 120, 160, 250]
LONG = ("tensorflow-nightly-gpu", "pytorch-with-extensions", "jax-experimental")
TABLES: dict[str, Callable[[Results], Fitted]] = {
    "summary": summary_table,
    "comparisons": lambda results: comparison_table(compared(results)),
    "parity": lambda results: parity_table(results.parity),
}


def compared(results: Results) -> list[Comparison]:
    return [comparison for comparison in results.comparisons if comparison.primary]


@cache
def run(name: str) -> Results:
    if name == "one block":
        return made(blocks=1)
    if name == "ten blocks":
        return made(models=("mlp", "resnet18"), devices=("cpu", "cuda:0"), failed=("jax",))
    return made(LONG, ("mlp",), blocks=10, executions=("eager", "compiled"), not_comparable=("jax-experimental",))


def printed(table: RenderableType, width: int) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("name", ["one block", "ten blocks", "long names"])
def test_nothing_is_cut_and_nothing_is_too_wide(name: str, table: str, width: int) -> None:
    lines = printed(TABLES[table](run(name)), width)
    assert not [line for line in lines if "…" in line]
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["one block", "ten blocks", "long names"])
def test_every_row_shows_what_it_is_about(name: str, width: int) -> None:
    results = run(name)
    lines = printed(summary_table(results), width)
    speeds = [line for line in lines if re.search(r"\d,\d{3}|\b\d{3,}\b", line) and not line.startswith("left out")]
    for row in results.rows:
        if row.samples_per_second is not None:
            assert any(f"{row.samples_per_second:,.0f}" in line for line in speeds)
    for framework in {row.framework for row in results.rows}:
        assert sum(framework in line for line in lines) >= len([r for r in results.rows if r.framework == framework])
    ratios = " ".join(printed(comparison_table(compared(results)), width))
    for comparison in compared(results):
        if comparison.ratio is not None and comparison.ratio.low is not None:
            assert f"[{comparison.ratio.low:.3f}, {comparison.ratio.high:.3f}]" in ratios


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("name", ["one block", "ten blocks", "long names"])
def test_each_column_is_there_or_is_said_to_be_left_out(name: str, table: str, width: int) -> None:
    fitted = TABLES[table](run(name))
    said = " ".join(printed(fitted, width))
    for column in fitted.columns:
        if not column.names:
            assert all(word in said for word in column.label.split())
    if "left out at this width" in said:
        assert f"; all columns are in {fitted.elsewhere}" in said


def lettered(*columns: tuple[str, dict[str, object]]) -> Fitted:
    """A table of three rows in which the cells of each column are its label, ten characters wide."""
    shown = [Shown(label=label, cells=[Text(label * 10)] * 3, **more) for label, more in columns]  # type: ignore[arg-type]
    return Fitted(title="letters", columns=shown, elsewhere="file.csv")


TABLE = lettered(
    ("a", {"names": True, "heads": True}), ("b", {"names": True}), ("c", {"leaves": 1}), ("d", {"leaves": 2})
)


@pytest.mark.parametrize(
    ("width", "shown", "note"),
    [
        (53, "│ aaaaaaaaaa │ bbbbbbbbbb │ cccccccccc │ dddddddddd │", ""),
        (52, "aaaaaaaaaa  bbbbbbbbbb  cccccccccc  dddddddddd", ""),
        (46, "aaaaaaaaaa  bbbbbbbbbb  cccccccccc  dddddddddd", ""),
        (45, "aaaaaaaaaa  bbbbbbbbbb  cccccccccc", "left out at this width: d; all columns are in"),
        (33, "aaaaaaaaaa  bbbbbbbbbb", "left out at this width: c, d;"),
        (21, "bbbbbbbbbb", "left out at this"),
        (9, "aaaaaaaaa", ""),
    ],
)
def test_columns_leave_by_rank(width: int, shown: str, note: str) -> None:
    lines = printed(TABLE, width)
    assert lines.count(shown) == (1 if width == 9 else 3) or width == 9
    assert any(line.startswith(note) for line in lines)
    assert ("left out" in " ".join(lines)) == bool(note)


def test_what_rows_share_is_said_above_them_where_there_is_no_room_beside() -> None:
    lines = printed(TABLE, 21)
    assert lines[:5] == ["letters", "b", "─" * 10, "a" * 10, "b" * 10]
    assert lines.count("a" * 10) == 1


def test_a_rung_that_did_not_hold_stays_longest() -> None:
    rungs = tuple(Rung(number=n, name=f"rung{n}", error=float(n == 2), tolerance=0.5) for n in range(1, 8))
    result = ParityResult(
        framework="pytorch", model="mlp", device="cpu", digest="", framework_version="1", rungs=rungs, seconds=1.0
    )
    lines = printed(parity_table([result]), 40)
    (labels,) = (line for line in lines if line.startswith("framework"))
    assert labels.split() == ["framework", "model", "rung2", "rung7", "verdict"]
    assert "left out at this width: rung1" in " ".join(lines)
    assert "parity.md" in lines[-1]
