"""A reporter: parity.md, with every rung's measured error and the accuracies after training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlbench_core.hookspecs import ReporterDescriptor, hookimpl
from mlbench_core.results import Results
from mlbench_core.results.cells import accuracy_spread, comparable_groups
from mlbench_core.verify.rungs import ACCURACY, Climb

NAME = "parity.md"


@hookimpl
def register_reporters() -> list[ReporterDescriptor]:
    """Parity."""
    return [
        ReporterDescriptor("parity", "mlbench_core.report.parity:write", "every rung's error, and final accuracies")
    ]


def write(results: Results, folder: Path) -> list[Path]:
    """Writes parity.md: a table of the ladder, and one of the last rung, the final validation accuracies."""
    return [write_text(results.parity, results.cells(), folder)]


def write_text(climbs: Sequence[Climb], rows: Sequence[dict[str, Any]], folder: Path) -> Path:
    """The same from climbs and the rows of a run, of which there may be none."""
    climbs = sorted(climbs, key=lambda climb: (climb.model, climb.framework, climb.device))
    parts = ["# Parity", "", "Written by mlbench; every figure is measured.", "", *_ladder(climbs)]
    if any(row["final_val_accuracy"] is not None for row in rows):
        parts += ["", *_accuracies(list(rows))]
    path = folder / NAME
    path.write_text("\n".join(parts) + "\n", encoding="utf-8")
    return path


def _ladder(climbs: Sequence[Climb]) -> list[str]:
    if not climbs:
        return ["Not verified: the run was told to skip the ladder."]
    numbers = {rung.name: (rung.number, rung.tolerance) for climb in climbs for rung in climb.rungs}
    names = sorted(numbers, key=lambda name: numbers[name][0])
    lines = [
        "The largest relative error of each rung against the NumPy reference.",
        "",
        _row(["framework", "version", "model", "device", *names, "verdict"]),
        _row(["---"] * (len(names) + 5)),
        _row(["allowed", "", "", "", *(f"{numbers[name][1]:.0e}" if numbers[name][1] else "0" for name in names), ""]),
    ]
    for climb in climbs:
        errors = {rung.name: "-" if rung.absent else f"{rung.error:.1e}" for rung in climb.rungs}
        found = [errors.get(name, "-") for name in names]
        lines.append(_row([climb.framework, climb.framework_version, climb.model, climb.device, *found, climb.verdict]))
    stories = [f"- {c.framework} {c.model}: {rung.describe()}" for c in climbs if (rung := c.first_failure())]
    return [*lines, "", *stories] if stories else lines


def _accuracies(rows: list[dict[str, Any]]) -> list[str]:
    groups = comparable_groups([row for row in rows if row["final_val_accuracy"] is not None])
    frameworks = sorted({row["framework"] for group in groups for row in group})
    lines = [
        f"The last rung: final validation accuracies in percent; they may lie {100 * ACCURACY:g} points apart.",
        "",
        _row(["model", "data set", "device", "batch size", "precision", *frameworks, "apart", "holds"]),
        _row(["---"] * (len(frameworks) + 7)),
    ]
    for group in groups:
        first, spread = group[0], accuracy_spread(group)
        found = {row["framework"]: f"{100 * row['final_val_accuracy']:.1f}" for row in group}
        cell = [str(first[name]) for name in ("model", "dataset", "device", "batch_size", "precision")]
        apart = "-" if spread is None else f"{100 * spread:.1f}"
        holds = "-" if spread is None else "yes" if spread <= ACCURACY else "no"
        lines.append(_row([*cell, *(found.get(name, "-") for name in frameworks), apart, holds]))
    return lines


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
