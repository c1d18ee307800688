"""Comparisons: every pair of arms of a cell, with the ratio of their speeds, its interval and a verdict."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from statistics import median

from attrs import field, frozen

from mlbench_core.results.flags import seconds_per_step
from mlbench_core.stats.ratio import Ratio, holm, log_ratio, ratio, sign_flip
from mlbench_core.stats.time_to import crossover
from mlbench_core.stats.verdict import Verdict, blocks_needed, verdict
from mlbench_core.thresholds import Compare, ExtendUntil
from mlbench_core.trial import Record, Trial

TRAINING, LATENCY = "training throughput", "inference latency"


@frozen
class Comparison:
    """a compared with b, alike in all but framework and execution.

    metric: TRAINING or LATENCY. ratio: of speeds, above 1 where a is faster; None where not a single block has both.
    adjusted_p: by Holm over the pairs of this cell and metric. sign_flip_p: unadjusted, from 6 blocks. blocks_needed: in
    all, until the verdict would be clear; None if it is, or cannot be told. reason: why the two are not comparable.
    crossover_step: the training step at which the arm with the slower first step has caught up. trial: a's, for the cell's
    other coordinates.
    """

    trial: Trial
    metric: str
    a: str
    b: str
    verdict: Verdict
    ratio: Ratio | None = None
    adjusted_p: float | None = None
    sign_flip_p: float | None = None
    blocks_needed: int | None = None
    reason: str = ""
    crossover_step: int | None = None

    def describe(self) -> str:
        """One sentence: who is how much faster, how sure that is, or what is missing."""
        cell = f"{self.trial.model} on {self.trial.device}, {self.metric}"
        if self.ratio is None or self.verdict == "not comparable":
            return f"{cell}: {self.a} and {self.b} are not comparable: {self.reason}"
        interval = (
            f"ratio of speeds {self.ratio.value:.3f}"
            if self.ratio.low is None
            else f"ratio of speeds {self.ratio.value:.3f} [{self.ratio.low:.3f}, {self.ratio.high:.3f}]"
        )
        blocks = f"{self.ratio.blocks} block" + ("s" if self.ratio.blocks > 1 else "")
        if self.verdict == "inconclusive":
            more = "more blocks are needed" if self.blocks_needed is None else f"{self.blocks_needed} blocks needed"
            return f"{cell}: {self.a} and {self.b}: no significant difference shown, {interval}, {blocks}; {more}"
        words = "as fast as" if self.verdict == "equivalent" else f"{self.verdict} than"
        caught = f"; the later starter has caught up at step {self.crossover_step:,}" if self.crossover_step else ""
        return f"{cell}: {self.a} is {words} {self.b}: {interval}, {blocks}{caught}"


@frozen
class Arm:
    """The records of one framework and execution in a cell, by block."""

    label: str
    records: dict[int, Record] = field(factory=dict)


def compare(
    records: Iterable[Record], compared: Compare, problem: Callable[[Record], str] = lambda _record: ""
) -> list[Comparison]:
    """Every pair of arms in every cell and metric. problem: why a record cannot be compared, empty if it can."""
    found = []
    for metric, cell in _cells(records):
        pairs = [
            (a, b, _reason([*a.records.values(), *b.records.values()], problem))
            for a, b in itertools.combinations(cell, 2)
        ]
        blocks = [[] if reason else _log_ratios(a, b) for a, b, reason in pairs]
        ratios = [ratio(logs, compared.confidence) if logs else None for logs in blocks]
        tested = [r.p for r in ratios if r is not None and r.p is not None]
        adjusted = iter(holm(tested))
        for (a, b, reason), r, logs in zip(pairs, ratios, blocks, strict=True):
            trial = next(iter(a.records.values())).trial
            if r is None:
                why = reason or "no block has values of both"
                found.append(Comparison(trial, metric, a.label, b.label, "not comparable", reason=why))
                continue
            p = None if r.p is None else next(adjusted)
            judged = verdict(r, p, compared)
            needed = blocks_needed(r, len(tested), compared) if judged == "inconclusive" else None
            step = _crossover(a, b) if metric == TRAINING else None
            found.append(
                Comparison(trial, metric, a.label, b.label, judged, r, p, sign_flip(logs), needed, crossover_step=step)
            )
    return found


def unfinished(comparisons: Iterable[Comparison], until: ExtendUntil) -> list[Comparison]:
    """Those whose interval is still wider than `until` wants, and that more blocks could make narrower."""
    return [
        c
        for c in comparisons
        if c.ratio is not None
        and c.ratio.blocks < until.max_blocks
        and (c.ratio.half_width is None or c.ratio.half_width > until.half_width)
    ]


def _cells(records: Iterable[Record]) -> list[tuple[str, list[Arm]]]:
    """(metric, arms) for each cell of the matrix, the arms by name."""
    cells: dict[Trial, dict[tuple[str, str], Arm]] = {}
    for record in records:
        t = record.trial
        arms = cells.setdefault(t.cell, {})
        arm = arms.setdefault((t.framework, t.execution), Arm(_label(record)))
        arm.records[t.block] = record
    metrics = {"train": TRAINING, "infer": LATENCY}
    return [(metrics[cell.task], sorted(arms.values(), key=lambda arm: arm.label)) for cell, arms in cells.items()]


def _label(record: Record) -> str:
    execution = record.trial.execution
    return record.trial.framework if execution == "default" else f"{record.trial.framework} ({execution})"


def _reason(records: Iterable[Record], problem: Callable[[Record], str]) -> str:
    return next((reason for record in records if (reason := problem(record))), "")


def _log_ratios(a: Arm, b: Arm) -> list[float]:
    """One per block that has numbers of both."""
    both = [(_turns(a.records[n]), _turns(b.records[n])) for n in a.records if n in b.records]
    return [_log_ratio(*turns) for turns in both if all(turns)]


def _log_ratio(turns_a: list[list[float]], turns_b: list[list[float]]) -> float:
    """A process that was measured in one go was next to nothing of the other, so it is one value, its median."""
    if min(len(turns_a), len(turns_b)) == 1:
        turns_a, turns_b = ([[median(itertools.chain(*turns))]] for turns in (turns_a, turns_b))
    return log_ratio(turns_a, turns_b)


def _turns(record: Record) -> list[list[float]]:
    """What a comparison takes, in seconds by turn: the values of training per step, or the median query; empty if none."""
    m = record.measured
    if record.trial.task == "infer":
        return [[median(turn)] for turn in by_turn(m.latencies, m.query_turns)]
    steps = 1 if m.calibration is None else m.calibration.steps_per_value
    return by_turn([value / steps for value in m.values], m.turns)


def by_turn(values: list[float], sizes: list[int]) -> list[list[float]]:
    """The values by turn, all in one where no sizes are known; turns without any are left out."""
    found = iter(values)
    return [part for size in sizes or [len(values)] if (part := list(itertools.islice(found, size)))]


def _crossover(a: Arm, b: Arm) -> int | None:
    starts = [[r.measured.first_step_s for r in arm.records.values() if r.measured.first_step_s] for arm in (a, b)]
    steps = [[seconds_per_step(r) for r in arm.records.values() if r.measured.values] for arm in (a, b)]
    if not all([*starts, *steps]):
        return None
    return crossover(median(starts[0]), median(steps[0]), median(starts[1]), median(steps[1]))
