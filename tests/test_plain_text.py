"""Hostile names become plain text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench_core.plain_text import FORMULA, clean, markdown, spreadsheet

HOSTILE = [
    "<script>alert(1)</script>", "</script><img src=x onerror=alert(1)>", "a|b", "two\nlines", "carriage\rreturn",
    "$\\frac{1}{2}$", "\x1b[31mred\x1b[0m", "\u202egnp.exe", "\u2066hidden\u2069", "nul\x00", "=1+1", "+1", "-1", "@SUM(A1)",
    "**bold**", "[link](http://example.org)", "`code`", "\ud800", "tab\tbed", "zero\u200bwidth",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_hidden_is_left(name: str) -> None:
    shown = clean(name)
    assert shown.isprintable()
    assert "\x1b" not in shown
    assert len(shown.splitlines()) == 1
    assert clean(shown) == shown


@given(st.text(alphabet=st.characters(codec=None)))
def test_any_text_is_one_printable_line(text: str) -> None:
    assert clean(text).isprintable()


@given(st.text(alphabet=st.characters(codec="ascii", categories=["L", "N"])))
def test_plain_names_stay_as_they_are(text: str) -> None:
    assert clean(text) == markdown(text) == spreadsheet(text) == text


def test_markdown_has_no_markup_of_the_name_s() -> None:
    assert markdown("a|b") == r"a\|b"
    assert markdown("<b>&") == "&lt;b&gt;&amp;"
    assert markdown("**x** `y` [z](w) $m$") == r"\*\*x\*\* \`y\` \[z\](w) \$m\$"
    assert (markdown("# x"), markdown("- x"), markdown("1. x"), markdown("-1.5 x")) == (
        r"\# x",
        r"\- x",
        r"\1. x",
        "-1.5 x",
    )


@pytest.mark.parametrize("start", FORMULA)
def test_no_formula(start: str) -> None:
    assert spreadsheet(f"{start}1") == f"'{start}1"
