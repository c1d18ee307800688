"""The report in a real browser: Chromium with the network cut. `nox -s browser` brings what it needs.

MLBENCH_AXE names the file axe.min.js; without it none of these tests is collected.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

AXE = os.environ.get("MLBENCH_AXE", "")
collect_ignore_glob = [] if AXE else ["test_*.py"]
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Open = Callable[..., "Page"]


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core."""
    return Path(AXE).read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: "Browser") -> Iterator[Open]:
    """Opens a file in a window of its own, with the network cut. At the end of the test nothing may have been written to the
    console (where violations of the page's policy go too) and nothing may have been asked for but the file itself."""
    wrong: list[str] = []

    def visit(path: Path, *, width: int = 1280, height: int = 900, scheme: str = "light", **options: Any) -> "Page":
        size: Any = {"width": width, "height": height}
        context = browser.new_context(viewport=size, offline=True, color_scheme=scheme, **options)  # type: ignore[arg-type]
        page = context.new_page()
        page.on("console", lambda message: wrong.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("request", lambda request: None if request.url == path.as_uri() else wrong.append(request.url))
        page.goto(path.as_uri())
        return page

    yield visit
    for context in browser.contexts:
        context.close()
    assert wrong == []
