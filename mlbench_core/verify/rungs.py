"""The values of the ladder: a Rung is one check with its measured error, a ParityResult all of one model in a framework."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from attrs import frozen

from mlbench_core.entry import shown_framework
from mlbench_core.trial import ModelSource, Team

Verdict = Literal["verified", "failed", "unverified"]
BY_PROOF: tuple[Verdict, ...] = ("failed", "unverified", "verified")
"""What proves least first."""

# Relative errors, each of the largest expected value of its array (see `compare`). Sources: a float64 operation rounds by
# 1.1e-16, and 25 float64 training steps of ResNet-18 in three frameworks were seen to agree to 7e-12; the bars leave room for
# any order of summation and none for another formula, constant or a learning rate kept in float32 (which is off by 1e-8).
LAYER = 1e-10
FORWARD = 1e-10
FORWARD_FP32 = 1e-4
GRADIENT = 1e-9
LOSSES = 1e-9
WEIGHTS = 1e-8
LOCK_STEPS = 25

PRECISION_STEPS = 20
PRECISION_BANDS = {"default": 0.15, "fp64": 1e-8, "fp32": 0.10, "tf32": 0.15, "bf16": 0.30, "fp16": 0.20}
"""How far a loss may be from the float64 reference's at any of 20 steps, as a share of the first loss (own). Training feeds
rounding back, so the bands are wide: they catch a run that diverges or does not learn, not one that rounds. First
set at 0.02 for fp32, where correct ResNet-18 runs were up to 0.046 off; widened after that was measured."""

ACCURACY = 0.02
"""Final validation accuracies of a cell may differ by this much between frameworks (own): 7 of the digits' 360 samples."""


@frozen(kw_only=True)
class Rung:
    """One check. `error` is the largest relative error found; nan means that the check could not be made, see `note`.

    where: the layer, parameter or step with that error, or the first beyond the tolerance. found, expected: the two values
    there.
    """

    number: int
    name: str
    error: float
    tolerance: float
    where: str = ""
    found: float | None = None
    expected: float | None = None
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance."""
        return self.error <= self.tolerance

    @property
    def absent(self) -> bool:
        """Whether the check could not be made."""
        return math.isnan(self.error)

    def describe(self) -> str:
        """One line that says where the two parted and by how much."""
        if self.absent:
            return f"rung {self.number}, {self.name}: not checked: {self.note}"
        values = "" if self.found is None else f": {self.found!r} against the reference's {self.expected!r}"
        at = f" at {self.where}" if self.where else ""
        error = f"error {self.error:.1e}, allowed {self.tolerance:.0e}"
        return f"rung {self.number}, {self.name}{at}{values} ({error}) {self.note}".rstrip()


@frozen(kw_only=True)
class ParityResult:
    """How far one model got in one framework on one kind of device ("cpu" or the GPU's name)."""

    framework: str
    variant: str = ""
    """As a trial's."""
    model: str
    device: str
    digest: str
    framework_version: str
    rungs: tuple[Rung, ...] = ()
    seconds: float = 0.0
    error: str = ""
    """Why the ladder could not be finished, with the rung at which it stopped; empty if it was."""
    node: str = ""
    """The kind of machine that it was found on, as the executor calls it; empty where there is but one."""
    nodes: tuple[str, ...] = ()
    """The kinds of node, as the configuration asks for them, that such machines are of."""

    @property
    def where(self) -> str:
        """The device and the kind of machine, for people."""
        return f"{self.device} on {self.node}" if self.node else self.device

    @property
    def verdict(self) -> Verdict:
        """failed if a rung did not hold, unverified if one could not be checked, else verified."""
        if any(not rung.absent and not rung.passed for rung in self.rungs):
            return "failed"
        unfinished = self.error or not self.rungs or any(rung.absent for rung in self.rungs)
        return "unverified" if unfinished else "verified"

    @property
    def why(self) -> str:
        """Why it is not verified, in one line; empty if it is."""
        failure = self.first_failure()
        if failure is not None and not failure.absent:
            return failure.describe()
        return self.error or ("" if failure is None else failure.describe())

    def first_failure(self) -> Rung | None:
        """The first rung that did not hold, or could not be checked."""
        failed = [rung for rung in self.rungs if not rung.passed]
        return next((rung for rung in failed if not rung.absent), failed[0] if failed else None)


def least_proven(results: Iterable[ParityResult]) -> dict[tuple[str, str, str, str], ParityResult]:
    """By a framework's name or label, model, device and kind of node, which is empty where the configuration names none: of
    what several kinds of machine found, what proves least."""
    found: dict[tuple[str, str, str, str], ParityResult] = {}
    for result in results:
        for node in result.nodes or ("",):
            key = shown_framework(result), result.model, result.device, node
            known = found.get(key)
            if known is None or BY_PROOF.index(result.verdict) < BY_PROOF.index(known.verdict):
                found[key] = result
    return found


def stopped_at(at: tuple[int, str] | None, why: str) -> str:
    """Why verification stopped, and at which rung if one had begun."""
    return f"rung {at[0]}, {at[1]}, could not be checked: {why}" if at else f"nothing could be checked: {why}"


@frozen(kw_only=True)
class Candidate:
    """A model to verify: where to find it, and the shape and classes to build it for."""

    model: str
    source: ModelSource
    input_shape: tuple[int, ...]
    num_classes: int


@frozen(kw_only=True)
class VerifyJob:
    """What a worker is told to verify: some models in one framework on one device.

    runs: the (precision, execution) pairs that the run will use, for rung 7. team: as a trial's.
    """

    framework: str
    device: str
    candidates: tuple[Candidate, ...]
    runs: tuple[tuple[str, str], ...]
    seed: int
    threads: int
    tuned: bool = False
    team: Team | None = None
