"""Recommendations by use: what the verdicts say to whom, and where they say nothing.

Only *faster* and *equivalent* verdicts between arms that are verified and not unstable count; a point estimate never does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import evolve, frozen

from mlbench_core.entry import shown_framework
from mlbench_core.record import Flag
from mlbench_core.report.headline import heading, interval, joined
from mlbench_core.report.reproduce import FIRST_BLOCKS, more_blocks
from mlbench_core.results import Results
from mlbench_core.results.compared import (
    ENERGY,
    MEMORY,
    SERVING,
    SPREAD,
    TAIL,
    TIME_TO,
    TRAINING,
    UTILIZATION,
    Metric,
)
from mlbench_core.results.comparisons import Comparison
from mlbench_core.results.groups import Group, arm_label, group_of, grouped

DOUBTFUL = ("unstable", "rejected")


@frozen(kw_only=True)
class Use:
    """What somebody wants.

    missing: what a run needs for its metric to be measured. least_batch: the smallest batch size that is about this use.
    """

    name: str
    metric: Metric
    missing: str
    least_batch: int = 1


USES = (
    Use(name="training throughput", metric=TRAINING, missing="a training trial of two frameworks"),
    Use(
        name="time to a trained model, compilation included",
        metric=TIME_TO,
        missing="a training trial of two frameworks",
    ),
    Use(
        name="online inference, 99th percentile",
        metric=TAIL,
        missing="at least 662 queries per trial (measure: queries)",
    ),
    Use(
        name="batch inference",
        metric=SERVING,
        missing="inference trials with inference_batch_size above 1",
        least_batch=2,
    ),
    Use(name="little memory", metric=MEMORY, missing="a system that tells the memory of a process"),
    Use(name="little energy", metric=ENERGY, missing="a GPU that counts energy, and 10 s of measuring"),
    Use(name="a well-used GPU", metric=UTILIZATION, missing="a GPU"),
    Use(name="steady times", metric=SPREAD, missing="a training trial of two frameworks"),
)


@frozen(kw_only=True)
class Advice:
    """What to take for one use in one group, or in several of which the same is said.

    arms: those recommended, several if they are equivalent; empty: no recommendation. text: one or two sentences with the
    comparison and its interval. groups: where it holds; empty for a use that was not measured. blocks: how many would lead to a
    recommendation; 0 where there is one or no number would.
    """

    use: str
    arms: tuple[str, ...] = ()
    text: str
    groups: tuple[Group, ...] = ()
    blocks: int = 0

    @property
    def scope(self) -> str:
        """Where it holds, in words."""
        if not self.groups:
            return ""
        first = self.groups[0]
        words = heading(first) if first.node else f"{heading(first)}, on this machine"
        return words if len(self.groups) == 1 else f"{len(self.groups)} groups, the first of them {words}"

    @property
    def command(self) -> str:
        """What would lead to a recommendation; empty where there is one or nothing would."""
        return more_blocks(self.groups, self.blocks) if self.blocks else ""


def said_once(found: Iterable[Advice]) -> list[Advice]:
    """The same with one entry for all groups of a use of which the same is said."""
    together = grouped(found, lambda one: (one.use, one.text, one.blocks))
    return [evolve(same[0], groups=tuple(group for one in same for group in one.groups)) for same in together.values()]


def advice(results: Results) -> tuple[Advice, ...]:
    """A recommendation, or why there is none, for each use and each group whose metric was compared; and one line for a use
    that this run cannot speak to."""
    found: list[Advice] = []
    by_metric = grouped(results.comparisons, lambda c: (c.metric, c.group))
    excluded = _excluded(results)
    for use in USES:
        mine = [
            _advise(results, use, group, pairs, excluded.get(group, {}))
            for (name, group), pairs in by_metric.items()
            if name == use.metric.name and group.batch_size >= use.least_batch
        ]
        found += mine or [Advice(use=use.name, text=f"No recommendation: not measured. It takes {use.missing}.")]
    return tuple(found)


def _advise(results: Results, use: Use, group: Group, pairs: Sequence[Comparison], excluded: Excluded) -> Advice:
    arms = sorted({arm for pair in pairs for arm in (pair.a, pair.b)} - set(excluded))
    among = [pair for pair in pairs if pair.a in arms and pair.b in arms and pair.verdict != "not comparable"]
    left_out = f" Left out: {'; '.join(f'{arm} ({why})' for arm, why in sorted(excluded.items()))}." if excluded else ""
    if not among:
        text = f"No recommendation: no two arms can be relied on and compared.{left_out}"
        return Advice(use=use.name, text=text, groups=(group,))
    best = [arm for arm in arms if _beats_or_equals_all(arm, arms, among)]
    if best:
        text = _recommendation(best, among, results.settings.compare.confidence)
        return Advice(use=use.name, arms=tuple(best), text=text + left_out, groups=(group,))
    still_open = [pair for pair in among if pair.verdict == "inconclusive"]
    needed = _blocks_needed(still_open)
    if needed is None:
        more = "more than 1,000 blocks would be needed" if still_open else "every comparison is decided"
        text = f"No recommendation: no arm is shown to be ahead of all others, and {more}."
        return Advice(use=use.name, text=text + left_out, groups=(group,))
    text = f"No recommendation: {needed} blocks needed.{left_out}"
    return Advice(use=use.name, text=text, groups=(group,), blocks=needed)


Excluded = dict[str, str]
"""Why no recommendation may rest on an arm, by its label."""


def _excluded(results: Results) -> dict[Group, Excluded]:
    """The arms of each group that no recommendation may rest on."""
    verdicts = {(shown_framework(row), row.model, row.device, row.node): row.parity for row in results.rows}
    doubtful = {arm: flag for arm, flags in results.flags.items() if (flag := _doubt(flags))}
    found: dict[Group, Excluded] = {}
    for record in results.records:
        trial = record.trial
        group, arm = group_of(trial), arm_label(trial)
        mine = found.setdefault(group, {})
        parity = verdicts.get((shown_framework(trial), trial.model, trial.device, trial.node))
        if record.status != "ok":
            mine[arm] = record.status
        elif parity is None or parity.verdict != "verified":
            mine.setdefault(arm, "unverified" if parity is None else parity.verdict)
        elif (group, arm) in doubtful:
            flag = doubtful[group, arm]
            mine.setdefault(arm, f"{flag.level}: {flag.name}")
    return found


def _doubt(flags: Iterable[Flag]) -> Flag | None:
    return next((flag for flag in flags if flag.level in DOUBTFUL), None)


def _beats_or_equals_all(arm: str, arms: Iterable[str], pairs: Sequence[Comparison]) -> bool:
    seen = {pair.seen_from(arm).b: pair.seen_from(arm).verdict for pair in pairs if arm in (pair.a, pair.b)}
    return all(seen.get(other) in ("faster", "equivalent") for other in arms if other != arm)


def _recommendation(best: Sequence[str], pairs: Sequence[Comparison], confidence: float) -> str:
    first = best[0]
    clauses = []
    for pair in pairs:
        if first not in (pair.a, pair.b):
            continue
        seen = pair.seen_from(first)
        assert seen.ratio is not None
        how = "equivalent to" if seen.verdict == "equivalent" else f"{seen.ratio.value:.2f} times as good as"
        clauses.append(f"{how} {seen.b} ({interval(seen.ratio, confidence)})")
    alike = f" {joined(best)} are equivalent." if len(best) > 1 else ""
    return f"Take {' or '.join(best)}. By {pairs[0].metric}, {first} is {joined(clauses)}.{alike}"


def _blocks_needed(still_open: Sequence[Comparison]) -> int | None:
    """Blocks until every open pair should be decided; None if none is open or that is not to be expected."""
    if any(pair.of_one_block for pair in still_open):
        return FIRST_BLOCKS
    if not still_open or any(pair.blocks_needed is None for pair in still_open):
        return None
    return max(pair.blocks_needed or 0 for pair in still_open)
