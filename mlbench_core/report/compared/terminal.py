"""The table of `mlbench compare` on a terminal."""

from __future__ import annotations

from attrs import evolve

from mlbench_core.report.compared.lines import TITLES, Said
from mlbench_core.report.table import Fitted, Shown, cell

STYLES = {"faster": "green", "slower": "red", "equivalent": "cyan", "inconclusive": "yellow"}
LEAVES = {"p (Holm)": 4, "blocks": 3, "base": 2, "new": 2, "interval": 0, "ratio": 0, "verdict": 0, "notes": 1}


MOST_ROWS = 1_000
"""Rows on a terminal: nobody reads more there, and a minute would go into drawing 30,000."""
TELLING = ("slower", "faster", "not comparable", "inconclusive", "equivalent")
"""Verdicts, those first that are shown where not all are."""


def most_telling(words: Said) -> tuple[Said, str]:
    """The words with as many rows as a terminal takes, those that say most, in their order; and a line on what is left out,
    empty if nothing is."""
    if len(words.rows) <= MOST_ROWS:
        return words, ""
    rank = {verdict: place for place, verdict in enumerate(TELLING)}
    places = sorted(range(len(words.rows)), key=lambda place: rank[words.verdicts[place]])
    kept = sorted(places[:MOST_ROWS])
    rows = tuple(words.rows[place] for place in kept)
    line = f"{len(words.rows) - MOST_ROWS:,} more rows, none that says more than these: an --export has all"
    return evolve(words, rows=rows, verdicts=tuple(words.verdicts[place] for place in kept)), line


def compared_table(words: Said) -> Fitted:
    """A row per cell and metric."""
    columns = []
    for place, title in enumerate(TITLES):
        values = [row[place] for row in words.rows]
        cells = [cell(value, style=STYLES.get(value, "") if title == "verdict" else "") for value in values]
        names = title in ("cell", "metric")
        right = title in ("base", "new", "ratio", "interval", "p (Holm)", "blocks")
        columns.append(
            Shown(
                label=title, cells=cells, names=names, heads=title == "metric", right=right, leaves=LEAVES.get(title, 0)
            )
        )
    return Fitted(title="speed of the new run over the base's", columns=columns, elsewhere="an --export")
