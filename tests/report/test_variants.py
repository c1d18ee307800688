"""Two variants of one framework are told apart by their labels wherever people read a framework's name."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console
from variants import NEW, OLD, two_variants

from mlbench_core import Results
from mlbench_core.report.advice import advice
from mlbench_core.report.charts.style import look_of
from mlbench_core.report.headline import headline, title_of
from mlbench_core.report.html import write_html
from mlbench_core.report.markdown import write_markdown
from mlbench_core.report.parity import write as write_parity
from mlbench_core.report.sections import arms_table, failures_table, knobs_table, machine_tables, parity_table
from mlbench_core.report.terminal import print_results
from mlbench_core.results.arms import arms_of

ARMS = {"numpy", NEW, OLD}


@pytest.fixture(scope="module")
def results() -> Results:
    return two_variants()


def test_they_are_arms_with_a_verdict_between_them(results: Results) -> None:
    found = {(c.a, c.b): c.verdict for c in results.comparisons if c.metric == "training throughput"}
    assert found == {("numpy", NEW): "slower", ("numpy", OLD): "slower", (OLD, NEW): "faster"}
    assert {arm for _, arm in results.flags} == ARMS
    assert len(arms_of(results.rows)) == 3


def test_the_first_screen_and_the_advice_name_the_label(results: Results) -> None:
    first = headline(results)
    assert title_of(results) == f"numpy, {OLD} and {NEW}"
    assert first.compared.startswith(f"numpy, {OLD} and {NEW} on mlp")
    for answer in first.answers:
        assert answer.text.startswith(f"{OLD} is ")
        assert f"1.5 times as fast as {NEW}" in re.sub(r"(1\.5)\d", r"\1", answer.text)
    assert (OLD,) in {one.arms for one in advice(results)}
    assert not any("pytorch" in one.text for one in (*first.answers, *advice(results)))


def test_what_failed_or_is_not_comparable_is_said_of_the_label(results: Results) -> None:
    failed = two_variants(failed=("jax",), not_comparable=("tensorflow",), blocks=2)
    doubts = " ".join(headline(failed).doubts)
    assert f"trials of {OLD} failed" in doubts
    assert f"Not comparable: {NEW} mlp" in doubts
    assert f"{NEW} mlp: failed" in headline(failed).parity
    reasons = {c.reason for c in failed.comparisons if c.metric == "training throughput" and OLD in (c.a, c.b)}
    assert f"{OLD} failed: RuntimeError: made to fail" in reasons
    assert {row.parity.verdict for row in failed.rows if row.variant == NEW} == {"not comparable"}
    assert "not comparable" not in {row.parity.verdict for row in failed.rows if row.variant != NEW}
    assert {row[0].text for row in failures_table(failed).rows} == {OLD}


def test_tables_name_the_label(results: Results) -> None:
    arms = arms_table(arms_of(results.rows))
    place = [heading.label for heading in arms.headings].index("framework")
    assert {row[place].text for row in arms.rows} == ARMS
    assert {row[0].text for row in parity_table(results).rows} == ARMS
    assert {heading.label for heading in knobs_table(results).headings} >= ARMS
    assert {row[0].text for row in machine_tables(results)[-1].rows} == ARMS


def test_each_has_a_colour_and_a_marker_of_its_own(results: Results) -> None:
    look = look_of(record.trial for record in results.records)
    assert set(look.styles) == ARMS
    markers = [style.marker() for style in look.styles.values()]
    assert len({marker["marker"] for marker in markers}) == len({marker["color"] for marker in markers}) == 3


def test_so_do_the_terminal_and_the_files(results: Results, tmp_path: Path) -> None:
    file = io.StringIO()
    print_results(Console(file=file, width=200), results)
    printed = file.getvalue()
    written = {
        path.name: path.read_text()
        for path in [*write_markdown(results, tmp_path, "x"), *write_parity(results, tmp_path)]
    }
    write_html(results, tmp_path, "x")
    written["report.html"] = (tmp_path / "report.html").read_text()
    for name, text in {"terminal": printed, **written}.items():
        assert OLD in text, name
        assert NEW in text, name
    assert "pytorch" not in printed
    lines = [line for line in printed.splitlines() if OLD in line]
    assert any(NEW in line and "faster" in line for line in lines)


def test_a_summary_of_one_variant_says_which(tmp_path: Path) -> None:
    file = io.StringIO()
    print_results(Console(file=file, width=200), two_variants(frameworks=("jax",), blocks=1))
    assert OLD in file.getvalue()
