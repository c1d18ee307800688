"""From a comparison to an exit status: what fails a build, and what never passes one."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Sequence
from typing import Literal, get_args

from attrs import frozen

from mlbench_core.compare.judge import Judged, RunComparison
from mlbench_core.errors import ConfigError, unknown

Condition = Literal["slower", "inconclusive", "missing", "not-comparable", "failed"]
CONDITIONS: tuple[str, ...] = get_args(Condition)
OK, MET, USAGE, NOTHING = 0, 1, 2, 3
"""Exit statuses: compared and no condition met; a condition met; usage, or an unreadable file; nothing could be compared."""


@frozen(kw_only=True)
class Threshold:
    """From which loss on a slower cell counts, for the cells whose name matches the pattern. share: 0.05 is 5 %."""

    pattern: str
    share: float


@frozen(kw_only=True)
class Gate:
    """What fails. thresholds: the last that matches a cell counts. strict: whether anything missing is status 3."""

    fail_on: tuple[str, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    strict: bool = False


@frozen
class GateResult:
    """status: of the process. met: a line for each condition that was met."""

    status: int
    met: tuple[str, ...]


def parse_conditions(text: str | None) -> tuple[str, ...]:
    """ "slower,missing" as conditions. Raises ConfigError for a word that is none."""
    words = tuple(word.strip() for word in (text or "").split(",") if word.strip())
    for word in words:
        if word not in CONDITIONS:
            raise ConfigError("--fail-on: " + unknown("condition", word, CONDITIONS))
    return words


def parse_threshold(text: str) -> Threshold:
    """ "5%", "0.05" or "PATTERN=5%". Raises ConfigError for anything else."""
    pattern, _, number = text.rpartition("=")
    try:
        share = float(number.removesuffix("%")) / (100 if number.endswith("%") else 1)
    except ValueError:
        share = math.nan
    if not 0 <= share < 1:
        raise ConfigError(
            f"--threshold: {text!r} is no share such as 5% or 'resnet*/train/*=10%', of at least 0 % and less than 100 %"
        )
    return Threshold(pattern=pattern or "*", share=share)


def outcome(comparison: RunComparison, gate: Gate) -> GateResult:
    """The status and why. A comparison in which nothing could be compared never passes."""
    met = _conditions(comparison, gate)
    compared = [one for one in comparison.judged if one.ratio is not None and one.gated]
    if not compared:
        return GateResult(NOTHING, ("nothing could be compared", *met))
    if gate.strict and comparison.missing:
        return GateResult(NOTHING, (f"{len(comparison.missing)} cells are in one run only (--strict)", *met))
    return GateResult(MET if met else OK, tuple(met))


def _conditions(comparison: RunComparison, gate: Gate) -> list[str]:
    met = []
    for one in comparison.judged:
        condition = _condition(one, gate.thresholds)
        if condition in gate.fail_on and one.gated:
            met.append(f"{condition}: {one.cell.name}, {one.metric}")
    if "missing" in gate.fail_on:
        met += [f"missing: {name} is not in the {side} run" for name, side in comparison.missing]
    if "failed" in gate.fail_on:
        met += [f"failed: {name}: {why}" for name, why in comparison.failed]
    return met


def _condition(one: Judged, thresholds: Sequence[Threshold]) -> str:
    """The condition that a cell meets; empty if none. A loss within its threshold is none."""
    if one.verdict == "slower":
        assert one.ratio is not None
        allowed = [t.share for t in thresholds if fnmatch.fnmatchcase(one.cell.name, t.pattern)]
        return "slower" if not allowed or one.ratio.value < 1 - allowed[-1] else ""
    return {"inconclusive": "inconclusive", "not comparable": "not-comparable"}.get(one.verdict, "")
