"""A reporter: parity.md, with every rung's measured error and the accuracies after training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mlbench_core.entry import shown_framework
from mlbench_core.hookspecs import ReporterDescriptor, hookimpl
from mlbench_core.nodes import where
from mlbench_core.plain_text import markdown
from mlbench_core.results import Results
from mlbench_core.results.row import BY_NAME, Row
from mlbench_core.results.rows import accuracy_spread, side_by_side
from mlbench_core.verify.rungs import ACCURACY, ParityResult

NAME = "parity.md"


@hookimpl
def register_reporters() -> list[ReporterDescriptor]:
    """Parity."""
    return [
        ReporterDescriptor("parity", "mlbench_core.report.parity:write", "every rung's error, and final accuracies")
    ]


def write(results: Results, folder: Path) -> list[Path]:
    """Writes parity.md: a table of the ladder, and one of the last rung, the final validation accuracies."""
    return [write_text(results.parity, results.rows, folder)]


def write_text(parity: Sequence[ParityResult], rows: Sequence[Row], folder: Path) -> Path:
    """The same from parity and the rows of a run, of which there may be none."""
    parity = sorted(parity, key=lambda result: (result.model, shown_framework(result), result.device))
    parts = ["# Parity", "", "Written by mlbench; every figure is measured.", "", *_ladder(parity)]
    if any(row.final_val_accuracy is not None for row in rows):
        parts += ["", *_accuracies(rows)]
    path = folder / NAME
    path.write_text("\n".join(parts) + "\n", encoding="utf-8")
    return path


def _ladder(parity: Sequence[ParityResult]) -> list[str]:
    if not parity:
        return ["Not verified: the run was told to skip the ladder."]
    numbers = {rung.name: (rung.number, rung.tolerance) for result in parity for rung in result.rungs}
    names = sorted(numbers, key=lambda name: numbers[name][0])
    lines = [
        "The largest relative error of each rung against the NumPy reference.",
        "",
        _row(["framework", "version", "model", "device", *names, "verdict"]),
        _rule(len(names) + 5),
        _row(["allowed", "", "", "", *(f"{numbers[name][1]:.0e}" if numbers[name][1] else "0" for name in names), ""]),
    ]
    for result in parity:
        errors = {rung.name: "-" if rung.absent else f"{rung.error:.1e}" for rung in result.rungs}
        found = [errors.get(name, "-") for name in names]
        lines.append(
            _row(
                [
                    shown_framework(result),
                    result.framework_version,
                    result.model,
                    result.where,
                    *found,
                    result.verdict,
                ]
            )
        )
    stories = [f"- {markdown(f'{shown_framework(one)} {one.model}: {one.why}')}" for one in parity if one.why]
    return [*lines, "", *stories] if stories else lines


def _accuracies(rows: Sequence[Row]) -> list[str]:
    groups = side_by_side(row for row in rows if row.final_val_accuracy is not None)
    frameworks = sorted({shown_framework(row) for group in groups for row in group})
    lines = [
        f"The last rung: final validation accuracies in percent; they may lie {100 * ACCURACY:g} points apart.",
        "",
        _row(["model", "data set", "device", "batch size", "precision", *frameworks, "apart", "holds"]),
        _rule(len(frameworks) + 7),
    ]
    for group in groups:
        first, spread = group[0], accuracy_spread(group)
        found = {shown_framework(row): BY_NAME["final_val_accuracy"].show(row.final_val_accuracy) for row in group}
        cell = [first.model, first.dataset, where(first), str(first.batch_size), first.precision]
        apart = "-" if spread is None else f"{100 * spread:.1f}"
        holds = "-" if spread is None else "yes" if spread <= ACCURACY else "no"
        lines.append(_row([*cell, *(found.get(name, "-") for name in frameworks), apart, holds]))
    return lines


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(map(markdown, cells))} |"


def _rule(columns: int) -> str:
    return f"| {' | '.join(['---'] * columns)} |"
