"""A comparison of runs as rows of text, the same for every format, and the sentences around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import frozen

from mlbench_core.compare.gate import GateResult
from mlbench_core.compare.judge import Judged, RunComparison

TITLES = ("cell", "metric", "base", "new", "ratio", "interval", "p (Holm)", "blocks", "verdict", "notes")
SITTINGS = (
    "Blocks of two runs are no pairs, and what differs between the two sittings (another neighbour, another temperature) is in "
    "no interval here; several runs a side, or --control, take it into account."
)


@frozen(kw_only=True)
class Said:
    """A comparison in words. facts: what differs and decides or may explain. rows: as long as TITLES. unmatched, failed, means:
    a line each. met: the conditions that were met. title: what was compared."""

    title: str
    facts: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    verdicts: tuple[str, ...]
    unmatched: tuple[str, ...]
    failed: tuple[str, ...]
    means: tuple[str, ...]
    met: tuple[str, ...]


def said(comparison: RunComparison, found: GateResult, title: str) -> Said:
    """The comparison in words."""
    return Said(
        title=title,
        facts=tuple(_facts(comparison)),
        rows=tuple(row(one) for one in comparison.judged),
        verdicts=tuple(one.verdict for one in comparison.judged),
        unmatched=tuple(f"{name}: not in the {side} run" for name, side in comparison.missing),
        failed=tuple(f"{name}: {why}" for name, why in comparison.failed),
        means=tuple(_means(comparison)),
        met=found.met,
    )


def row(one: Judged) -> tuple[str, ...]:
    """One cell by one metric."""
    ratio = one.ratio
    interval = "n/a" if ratio is None or ratio.low is None else f"{ratio.low:.3f} to {ratio.high:.3f}"
    notes = one.reason or one.note
    if one.verdict == "inconclusive":
        notes = f"{one.blocks_needed or 'more'} blocks a side needed"
    return (
        one.cell.name,
        one.metric,
        _cost(one.base, one.unit),
        _cost(one.new, one.unit),
        "n/a" if ratio is None else f"{ratio.value:.3f}",
        interval,
        "n/a" if one.adjusted_p is None else f"{one.adjusted_p:.2g}",
        f"{one.blocks[0]} / {one.blocks[1]}",
        one.verdict,
        notes,
    )


def _cost(value: float | None, unit: str) -> str:
    if value is None:
        return "n/a"
    if unit.startswith("s"):
        return f"{value:.3g} {unit}" if value >= 1 else f"{1e3 * value:.3g} m{unit}"
    return f"{value / 1e6:,.0f} MB" if unit == "bytes" else f"{value:.3g} {unit}"


def _facts(comparison: RunComparison) -> Sequence[str]:
    lines = []
    for change in comparison.changes:
        weight = "decides" if change.decides else "informs"
        lines.append(f"{change.name}: {change.base} -> {change.new} ({weight})")
    if comparison.control is not None:
        lines.append(f"Beside the control {comparison.control}: what changed for it is taken out of all others.")
    elif not comparison.several_runs:
        lines.append(SITTINGS)
    return lines


def _means(comparison: RunComparison) -> Iterator[str]:
    for mean in comparison.means:
        mixed = "; mixed: some cells are faster, some slower" if mean.mixed else ""
        interval = "" if mean.ratio.low is None else f" [{mean.ratio.low:.3f}, {mean.ratio.high:.3f}]"
        yield f"{mean.name}, {mean.metric}: {mean.ratio.value:.3f}{interval} over {mean.cells} cells{mixed}"
