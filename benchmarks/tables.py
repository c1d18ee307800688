"""Tables in Markdown, and where they go in docs/: each between two comments that name it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1] / "docs"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def card_of(name: str) -> str:
    """A GPU's name as NVML has it, without maker and memory: "NVIDIA H100 80GB HBM3" is an H100."""
    return name.removeprefix("NVIDIA ").split()[0]


def card_among(machines: Iterable[Mapping[str, Any]]) -> str:
    """The one kind of GPU that these machines have."""
    (card,) = {card_of(gpu["name"]) for machine in machines for gpu in machine["gpus"]}
    return card


def put(name: str, text: str) -> None:
    """Replaces what stands between `<!-- name -->` and `<!-- /name -->` in the document that has such a place."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    for path in sorted(DOCS.rglob("*.md")):
        whole = path.read_text(encoding="utf-8")
        if pattern.search(whole):
            path.write_text(pattern.sub(lambda found: f"{found[1]}{text}\n{found[2]}", whole), encoding="utf-8")
            return
    raise SystemExit(f"no document in {DOCS} has a place for the table {name!r}")
