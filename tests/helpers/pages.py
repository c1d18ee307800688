"""What is asked of a page of the report in a browser."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDER = """() => [...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, .chart svg, pre')
  && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 120)).slice(0, 5)"""
SERIOUS = """async () => (await axe.run()).violations.filter(v => ['serious', 'critical'].includes(v.impact))
  .flatMap(v => v.nodes.map(n => `${v.id}: ${n.html.slice(0, 200)} ${n.failureSummary}`)).slice(0, 10)"""


def check(page: "Page", axe: str) -> None:
    """At the width of a desk and of a phone nothing is wider than the window, folded or not; axe-core (whose source is `axe`)
    finds nothing serious or critical, light or dark; ids are unique."""
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    page.evaluate(axe)
    for width, scheme, folded in (
        (1280, "light", True),
        (390, "dark", True),
        (390, "light", False),
        (1280, "dark", False),
    ):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.evaluate("folded => document.querySelectorAll('details').forEach(d => { d.open = !folded })", folded)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, page.evaluate(WIDER)
        if scheme == "dark" or not folded:
            assert page.evaluate(SERIOUS) == []
