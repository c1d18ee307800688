"""Hooks of mkdocs: they fill in what is made from the code, and have a link to a file of the repository lead to a page that
shows it, so that the site is whole by itself.

Documents link to the repository's files by relative paths, which lead somewhere in a checkout too.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel
from reference_pages import filled

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
LINK = re.compile(r"(\[[^\]]*\]\()([^)\s#]+)(#[^)\s]*)?(\))")
FENCED = re.compile(r"(```.*?```)", re.DOTALL)
ASKING = re.compile(r"""<(?:script|img|iframe|link|source)\b[^>]*?(?:src|href)=["']?((?:https?:)?//[^"'> ]+)""")
"""A page's request to another host, which it makes as it is opened: the site is read without a network."""
SHOWN = {".py": "python", ".toml": "toml", ".yaml": "yaml", ".yml": "yaml", ".md": "markdown", ".ipynb": "json"}


def target_of(link: str, page: Path) -> Path | None:
    """The file or folder of the repository, relative to it, that a link of a page leads to; None for any other link."""
    if re.match(r"[a-z]+:", link):
        return None
    place = Path(os.path.normpath(page.parent / link))
    return place.relative_to(ROOT) if place.exists() and place.is_relative_to(ROOT) else None


def of_the_site(path: Path) -> bool:
    """Whether a file is a document of the site."""
    return path.suffix == ".md" and (ROOT / path).is_relative_to(DOCS)


def shown_beside(page: Path, found: set[Path]) -> None:
    """Adds to `found` all that a document links to and the site has no page of, and what such documents link to in turn."""
    prose = FENCED.sub("", page.read_text(encoding="utf-8"))
    for path in (target_of(match[2], page) for match in LINK.finditer(prose)):
        if path is not None and not of_the_site(path) and path not in found:
            found.add(path)
            if path.suffix == ".md":
                shown_beside(ROOT / path, found)


def uri_of(path: Path) -> str:
    """Of the page that a file or folder of the repository is, or is shown on."""
    return (ROOT / path).relative_to(DOCS).as_posix() if of_the_site(path) else f"source/{path.as_posix()}.md"


def shown(path: Path) -> str:
    """A page with the text of a file, or of all files in a folder; a document is itself."""
    place = ROOT / path
    if path.suffix == ".md":
        return place.read_text(encoding="utf-8")
    files = [place]
    if place.is_dir():
        files = sorted(each for each in place.rglob("*") if each.suffix in SHOWN and "__pycache__" not in each.parts)
    parts = ["---", "search: {exclude: true}", "---", "", f"# {path.as_posix()}", ""]
    for file in files:
        if place.is_dir():
            parts += [f"## {file.relative_to(place).as_posix()}", ""]
        parts += [f"````{SHOWN.get(file.suffix, 'text')}", file.read_text(encoding="utf-8").rstrip("\n"), "````", ""]
    return "\n".join(parts)


def on_files(files: Files, config: Any) -> Files:
    """Adds a page for each file of the repository that a document links to."""
    wanted: set[Path] = set()
    for file in list(files.documentation_pages()):
        shown_beside(DOCS / file.src_uri, wanted)
    for path in sorted(wanted):
        page = File.generated(config, uri_of(path), content=shown(path), inclusion=InclusionLevel.NOT_IN_NAV)
        files.append(page)
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fills in what is generated, and has links to the repository's files lead to the pages that show them."""
    uri = page.file.src_uri
    beside = uri.startswith("source/")
    if beside and not uri.endswith(".md.md"):
        return markdown
    place = ROOT / uri.removeprefix("source/").removesuffix(".md") if beside else DOCS / uri

    def rewritten(match: re.Match[str]) -> str:
        path = target_of(match[2], place)
        if path is None:
            return match[0]
        return f"{match[1]}{os.path.relpath(uri_of(path), Path(uri).parent)}{match[3] or ''}{match[4]}"

    parts = FENCED.split(filled(markdown))
    return "".join(part if part.startswith("```") else LINK.sub(rewritten, part) for part in parts)


def on_post_build(config: Any) -> None:
    """Fails if a page of the site asks another host for something. A link that is there to be clicked asks nobody."""
    for page in sorted(Path(config["site_dir"]).rglob("*.html")):
        found = ASKING.findall(page.read_text(encoding="utf-8"))
        if found:
            raise PluginError(f"{page} asks other hosts: {', '.join(found)}")
