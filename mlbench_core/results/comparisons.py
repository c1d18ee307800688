"""Comparisons: every pair of arms of a group, with the ratio of their costs, its interval and a verdict."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

from attrs import evolve, frozen

from mlbench_core.nodes import where
from mlbench_core.record import Record
from mlbench_core.results.compared import METRIC, METRICS, TRAINING, Metric, Turns
from mlbench_core.results.groups import Group, arm_label, group_of, grouped
from mlbench_core.stats.ratio import Ratio, holm, log_ratio, ratio, sign_flip
from mlbench_core.stats.time_to import crossover
from mlbench_core.stats.verdict import Verdict, blocks_needed, verdict
from mlbench_core.thresholds import Compare, ExtendUntil

SWAPPED: dict[Verdict, Verdict] = {"faster": "slower", "slower": "faster"}


@frozen(kw_only=True)
class Comparison:
    """a compared with b, alike in all but framework, its variant and execution.

    metric: the name of one of `compared.METRICS`. ratio: b's cost over a's, of speeds that is a's speed over b's: above 1 a is
    better; None where not a single block has both. log_ratios: its logarithm in each block. adjusted_p: by Holm over the pairs
    of this group and metric. sign_flip_p: unadjusted, from 6 blocks, of primary metrics. blocks_needed: in all, until the
    verdict would be clear; None if it is, or cannot be told. reason: why the two are not comparable. crossover_step: the
    training step at which the arm with the slower first step has caught up.
    """

    group: Group
    metric: str
    a: str
    b: str
    verdict: Verdict
    ratio: Ratio | None = None
    log_ratios: tuple[float, ...] = ()
    adjusted_p: float | None = None
    sign_flip_p: float | None = None
    blocks_needed: int | None = None
    reason: str = ""
    crossover_step: int | None = None

    @property
    def primary(self) -> bool:
        """Whether the metric is one of those that the run was made for."""
        return METRIC[self.metric].primary

    @property
    def of_one_block(self) -> bool:
        """Whether it rests on a single block, which does not tell how others would differ."""
        return self.ratio is not None and self.ratio.blocks == 1

    def seen_from(self, arm: str) -> Comparison:
        """The same with `arm` as a: as it is, or with its sides swapped. Raises ValueError if it is neither side."""
        if arm == self.a:
            return self
        if arm != self.b:
            raise ValueError(f"{arm!r} is neither {self.a!r} nor {self.b!r}")
        return evolve(
            self,
            a=self.b,
            b=self.a,
            verdict=SWAPPED.get(self.verdict, self.verdict),
            ratio=None if self.ratio is None else self.ratio.inverse(),
            log_ratios=tuple(-value for value in self.log_ratios),
        )

    def describe(self) -> str:
        """One sentence: who is how much better, how sure that is, or what is missing."""
        what = f"{self.group.model} on {where(self.group)}, {self.metric}"
        if self.ratio is None or self.verdict == "not comparable":
            return f"{what}: {self.a} and {self.b} are not comparable: {self.reason}"
        of = "ratio of speeds" if self.primary else "ratio"
        interval = f"{of} {self.ratio.value:.3f}"
        if self.ratio.low is not None:
            interval += f" [{self.ratio.low:.3f}, {self.ratio.high:.3f}]"
        blocks = f"{self.ratio.blocks} block" + ("s" if self.ratio.blocks > 1 else "")
        if self.verdict == "inconclusive":
            more = "more blocks are needed" if self.blocks_needed is None else f"{self.blocks_needed} blocks needed"
            return f"{what}: {self.a} and {self.b}: no significant difference shown, {interval}, {blocks}; {more}"
        metric = METRIC[self.metric]
        words = {"faster": metric.better, "slower": metric.worse}.get(self.verdict, metric.alike)
        caught = f"; the later starter has caught up at step {self.crossover_step:,}" if self.crossover_step else ""
        return f"{what}: {self.a} is {words} {self.b}: {interval}, {blocks}{caught}"


@frozen
class Arm:
    """The records of one arm of a group, by block. problem: why they cannot be compared, or empty."""

    label: str
    records: dict[int, Record]
    problem: str = ""


def compare(
    records: Iterable[Record],
    compared: Compare,
    problem: Callable[[Record], str] = lambda _record: "",
    metrics: Sequence[Metric] = METRICS,
) -> list[Comparison]:
    """Every pair of arms in every group, by every metric that was measured. problem: why a record cannot be compared, empty if
    it can. A pair without a primary metric's numbers is "not comparable"; one without a secondary metric's is left out."""
    found = []
    for group, arms in _groups(records, problem):
        pairs = [(a, b, a.problem or b.problem) for a, b in itertools.combinations(arms, 2)]
        for metric in metrics:
            if metric.task == group.task:
                found += _compare(group, metric, pairs, compared)
    return found


def _compare(group: Group, metric: Metric, pairs: list[tuple[Arm, Arm, str]], compared: Compare) -> list[Comparison]:
    fine = {arm.label: arm for a, b, _ in pairs for arm in (a, b) if not arm.problem}
    costs = {label: {n: metric.costs(record) for n, record in arm.records.items()} for label, arm in fine.items()}
    blocks = [() if reason else _log_ratios(costs[a.label], costs[b.label]) for a, b, reason in pairs]
    ratios = [ratio(logs, compared.confidence) if logs else None for logs in blocks]
    tested = [r.p for r in ratios if r is not None and r.p is not None]
    adjusted = iter(holm(tested))
    found = []
    for (a, b, reason), r, logs in zip(pairs, ratios, blocks, strict=True):
        if r is None:
            if metric.primary:
                why = reason or "no block has values of both"
                found.append(
                    Comparison(
                        group=group, metric=metric.name, a=a.label, b=b.label, verdict="not comparable", reason=why
                    )
                )
            continue
        p = None if r.p is None else next(adjusted)
        judged = verdict(r, p, compared)
        found.append(
            Comparison(
                group=group,
                metric=metric.name,
                a=a.label,
                b=b.label,
                verdict=judged,
                ratio=r,
                log_ratios=logs,
                adjusted_p=p,
                sign_flip_p=sign_flip(logs) if metric.primary else None,
                blocks_needed=blocks_needed(r, len(tested), compared) if judged == "inconclusive" else None,
                crossover_step=_crossover(a, b) if metric is TRAINING else None,
            )
        )
    return found


def unfinished(comparisons: Iterable[Comparison], until: ExtendUntil) -> list[Comparison]:
    """Those by a primary metric whose interval is still wider than `until` wants, and that more blocks could make narrower."""
    return [
        c
        for c in comparisons
        if c.primary
        and c.ratio is not None
        and c.ratio.blocks < until.max_blocks
        and (c.ratio.half_width is None or c.ratio.half_width > until.half_width)
    ]


def _groups(records: Iterable[Record], problem: Callable[[Record], str]) -> list[tuple[Group, list[Arm]]]:
    """The arms of each group, by name."""
    found = []
    for group, together in grouped(records, lambda record: group_of(record.trial)).items():
        arms = grouped(together, lambda record: arm_label(record.trial))
        made = [
            Arm(label, {record.trial.block: record for record in arm}, _reason(arm, problem))
            for label, arm in sorted(arms.items())
        ]
        found.append((group, made))
    return found


def _reason(records: Iterable[Record], problem: Callable[[Record], str]) -> str:
    return next((reason for record in records if (reason := problem(record))), "")


def _log_ratios(a: Mapping[int, Turns], b: Mapping[int, Turns]) -> tuple[float, ...]:
    """One per block that has costs of both."""
    return tuple(_log_ratio(a[n], b[n]) for n in a if n in b and a[n] and b[n])


def _log_ratio(turns_a: Turns, turns_b: Turns) -> float:
    """A process that was measured in one go was next to nothing of the other, so it is one value, its median."""
    if min(len(turns_a), len(turns_b)) == 1:
        turns_a, turns_b = ([[median(itertools.chain(*turns))]] for turns in (turns_a, turns_b))
    return log_ratio(turns_a, turns_b)


def _crossover(a: Arm, b: Arm) -> int | None:
    starts = [[r.measured.first_step_s for r in arm.records.values() if r.measured.first_step_s] for arm in (a, b)]
    steps = [[r.seconds_per_step() for r in arm.records.values() if r.measured.values] for arm in (a, b)]
    if not all([*starts, *steps]):
        return None
    return crossover(median(starts[0]), median(steps[0]), median(starts[1]), median(steps[1]))
