"""Tables in Markdown, and where they go in docs/methodology.md: each between two comments that name it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

METHODOLOGY = Path(__file__).parents[1] / "docs" / "methodology.md"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def put(name: str, text: str) -> None:
    """Replaces what stands between `<!-- name -->` and `<!-- /name -->` in docs/methodology.md."""
    whole = METHODOLOGY.read_text(encoding="utf-8")
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not pattern.search(whole):
        raise SystemExit(f"{METHODOLOGY} has no place for the table {name!r}")
    METHODOLOGY.write_text(pattern.sub(lambda found: f"{found[1]}{text}\n{found[2]}", whole), encoding="utf-8")
