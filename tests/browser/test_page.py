"""What a person does with the report: look at it, filter, sort, unfold, change the theme, print, all by keyboard too."""

import io
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made import made
from pages import check
from pypdf import PdfReader

from mlbench_core.report.html import write_html

Open = Callable[..., Any]
CELLS = """([table, place]) => [...document.querySelectorAll(`#table-${table} tbody tr`)].filter(row => !row.hidden)
  .map(row => row.cells[place].textContent)"""
COLOURS = """[[document.body, 'backgroundColor'], [document.querySelector('#chart-forest text'), 'fill']]
  .map(([element, name]) => getComputedStyle(element)[name])"""
FIGURES = 6
"""The column "samples/s" of the table of cells."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_html(made(blocks=3, batch_sizes=[32, 64, 128, 256]), folder, "A report")
    return folder / "report.html"


def column(page: Any, place: int, table: str = "rows") -> list[str]:
    found: list[str] = page.evaluate(CELLS, [table, place])
    return found


def focused(page: Any) -> str:
    found: str = page.evaluate("document.activeElement.id || document.activeElement.textContent")
    return found


def plain(text: str) -> str:
    """Without what a printer sets as it likes: spaces, line breaks, ligatures."""
    return re.sub(r"\s", "", unicodedata.normalize("NFKC", text))


def test_it_is_in_order(report: Path, visit: Open, axe: str) -> None:
    check(visit(report), axe)


def test_the_first_screen_answers(report: Path, visit: Open) -> None:
    for width, height in ((1280, 900), (390, 844)):
        page = visit(report, width=width, height=height)
        answer = page.locator(".answers li").first.bounding_box()
        assert answer["y"] + answer["height"] < height


def test_a_head_sorts_by_keyboard(report: Path, visit: Open) -> None:
    page = visit(report)
    page.locator("#filter-rows").focus()
    page.keyboard.press("Tab")  # the table, so that arrows scroll it
    for _ in range(FIGURES + 1):
        page.keyboard.press("Tab")
    assert focused(page) == "samples/s"
    before = column(page, FIGURES)
    page.keyboard.press("Enter")
    up = column(page, FIGURES)
    numbers = [float(value.replace(",", "")) for value in up]
    assert numbers == sorted(numbers)
    assert up != before
    assert page.locator("#table-rows th").nth(FIGURES).get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Space")
    assert column(page, FIGURES) == up[::-1]
    assert page.locator("#table-rows th[aria-sort]").count() == 1


def test_a_filter_keeps_what_has_every_word(report: Path, visit: Open) -> None:
    page = visit(report)
    page.locator("#filter-rows").focus()
    page.keyboard.type("JAX mlp")
    assert set(column(page, 4)) == {"jax"}
    assert set(column(page, 0)) == {"mlp"}
    assert page.locator("#count-rows").text_content() == "4 of 36 rows"
    for _ in "JAX mlp":
        page.keyboard.press("Backspace")
    assert len(column(page, 0)) == 36
    assert page.locator("#count-rows").text_content() == ""


def test_a_trial_unfolds_by_keyboard(report: Path, visit: Open) -> None:
    page = visit(report)
    arm = page.locator("#trials details").first
    assert not arm.locator("table").is_visible()
    arm.locator("summary").focus()
    page.keyboard.press("Enter")
    assert arm.locator("tbody tr").count() == 3
    assert arm.locator("table").is_visible()
    assert re.match(r"block 1, ms per \d+ steps: \d", arm.locator("pre").text_content())


@pytest.mark.parametrize(("scheme", "first", "second"), [("light", "Dark", "Light"), ("dark", "Light", "Dark")])
def test_the_theme_changes_by_keyboard(scheme: str, first: str, second: str, report: Path, visit: Open) -> None:
    page = visit(report, scheme=scheme)
    before = page.evaluate(COLOURS)
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the answer"
    page.keyboard.press("Tab")
    assert focused(page) == "theme"
    assert page.locator("#theme").text_content() == f"{first} theme"
    page.keyboard.press("Space")
    assert page.locator("#theme").text_content() == f"{second} theme"
    assert page.evaluate(COLOURS) != before
    page.keyboard.press("Enter")
    assert page.evaluate(COLOURS) == before


def test_a_link_leads_to_its_section_below_the_bar(report: Path, visit: Open) -> None:
    page = visit(report, width=390, height=844)
    for name in ("comparisons", "trials"):
        page.locator(f"nav a[href='#{name}']").focus()
        page.keyboard.press("Enter")
        bar = page.locator("nav").bounding_box()
        assert bar["y"] + bar["height"] <= page.locator(f"#{name}-head").bounding_box()["y"] < 844


def test_without_javascript_the_same_is_there(report: Path, visit: Open) -> None:
    tables = visit(report).locator("table").all_text_contents()
    page = visit(report, java_script_enabled=False)
    assert page.locator("table").all_text_contents() == tables
    assert page.locator("#table-rows").is_visible()
    assert not page.locator("#theme").is_visible()
    assert not page.locator("#filter-rows").is_visible()


def test_the_print_holds_every_row_and_every_answer(report: Path, visit: Open) -> None:
    page = visit(report, scheme="dark")
    rows = page.evaluate("[...document.querySelectorAll('section > .scroll tbody tr')].map(r => r.textContent)")
    answers = page.locator(".answers li").all_text_contents()
    assert len(answers) > 12  # some are folded
    page.locator("#filter-rows").fill("jax")
    pages = PdfReader(io.BytesIO(page.pdf())).pages
    texts = [plain(page.extract_text()) for page in pages]
    assert sum("verdictonthefirst" in text for text in texts) > 1  # a table's head is on each of its pages
    text = "".join(texts)
    assert [row for row in rows + answers if plain(row) not in text] == []
