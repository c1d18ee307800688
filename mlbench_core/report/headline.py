"""The first screen of a report as values: what was compared, on what, whether parity held, who won, what to distrust."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen

from mlbench_core.entry import shown_framework
from mlbench_core.nodes import where
from mlbench_core.record import Record
from mlbench_core.results import Results
from mlbench_core.results.compared import MEMORY, TRAINING
from mlbench_core.results.comparisons import Comparison
from mlbench_core.results.groups import Group, grouped
from mlbench_core.stats.ratio import Ratio
from mlbench_core.stats.verdict import Verdict

DOUBTFUL = ("unstable", "rejected")
"""Levels of flags that forbid to rely on a number."""


@frozen(kw_only=True)
class Answer:
    """What is known of one group by one primary metric. heading: the group. text: who is ahead, by how much, how sure.
    decided: whether the arm that is ahead is faster than, or equivalent to, every other."""

    group: Group
    metric: str
    heading: str
    text: str
    decided: bool


@frozen(kw_only=True)
class Headline:
    """What a reader must know first, each as sentences.

    compared: what was compared. machines: on what, with the models that ran there if they are not the same everywhere.
    parity: whether the models are proven identical. answers: per group and primary metric. counts: of the verdicts on all
    pairs by primary metrics. doubts: what to distrust, the worst first.
    """

    compared: str
    machines: tuple[str, ...]
    parity: str
    answers: tuple[Answer, ...]
    counts: dict[Verdict, int]
    doubts: tuple[str, ...]


def headline(results: Results) -> Headline:
    """The first screen of these results."""
    primary = [comparison for comparison in results.comparisons if comparison.primary]
    counts = Counter(comparison.verdict for comparison in primary)
    return Headline(
        compared=_compared(results),
        machines=_machines(results),
        parity=_parity(results),
        answers=answers(results),
        counts=dict(sorted(counts.items())),
        doubts=_doubts(results),
    )


def title_of(results: Results) -> str:
    """What a report is called if nobody says: the frameworks that are compared."""
    names = list(dict.fromkeys(shown_framework(record.trial) for record in results.ordered))
    return joined(names) or "mlbench"


def answers(results: Results) -> tuple[Answer, ...]:
    """The verdicts in words, an answer per group and primary metric."""
    primary = (comparison for comparison in results.comparisons if comparison.primary)
    memory = grouped((c for c in results.comparisons if c.metric == MEMORY.name), lambda c: c.group)
    confidence = results.settings.compare.confidence
    found = []
    for (group, metric), pairs in grouped(primary, lambda c: (c.group, c.metric)).items():
        ahead = leader(pairs)
        mine = [pair.seen_from(ahead) for pair in pairs if ahead in (pair.a, pair.b)]
        text = _sentence(ahead, mine, confidence)
        if metric == TRAINING.name:
            text += _thriftier(ahead, memory.get(group, ()))
        decided = all(pair.verdict in ("faster", "equivalent") for pair in mine)
        found.append(Answer(group=group, metric=metric, heading=heading(group), text=text, decided=decided))
    return tuple(found)


def heading(group: Group) -> str:
    """A group in a few words."""
    task = "training" if group.task == "train" else "inference"
    return f"{task} of {group.model} on {where(group)}, batch size {group.batch_size}, {group.precision}"


def leader(pairs: Sequence[Comparison]) -> str:
    """The arm that is ahead of the others by the estimated ratios of a group; of arms without any, the first by name."""
    ahead: dict[str, float] = {}
    for pair in pairs:
        by = 0.0 if pair.ratio is None else math.log(pair.ratio.value)
        ahead[pair.a] = ahead.get(pair.a, 0.0) + by
        ahead[pair.b] = ahead.get(pair.b, 0.0) - by
    return max(sorted(ahead), key=lambda arm: ahead[arm])


def crossovers(comparisons: Iterable[Comparison]) -> list[str]:
    """A sentence for each pair of which the faster starts later: the step at which it has caught up."""
    lines = []
    for c in comparisons:
        if c.crossover_step is not None and c.verdict in ("faster", "slower"):
            late = c.seen_from(c.a if c.verdict == "faster" else c.b)
            lines.append(
                f"In {heading(c.group)}, {late.a} starts later than {late.b} and has caught up at step {c.crossover_step:,}."
            )
    return lines


def interval(ratio: Ratio, confidence: float) -> str:
    """ "95 % interval 1.20 to 1.26", or that one block has none."""
    if ratio.low is None or ratio.high is None:
        return "one block, so no interval"
    return f"{100 * confidence:g} % interval {ratio.low:.2f} to {ratio.high:.2f}"


def _sentence(ahead: str, pairs: Sequence[Comparison], confidence: float) -> str:
    """What the arm that is ahead is to the others. One block can only tell what it saw."""
    seen = [f"{pair.ratio.value:.2f} times as fast as {pair.b}" for pair in pairs if pair.ratio and pair.of_one_block]
    if len(seen) == len(pairs) and all(pair.verdict == "inconclusive" for pair in pairs):
        return f"{ahead} was {joined(seen)} in one block, so no interval: nothing is shown."
    clauses = [_clause(pair, pair.ratio, confidence) for pair in pairs if pair.ratio is not None]
    for reason, apart in grouped((pair for pair in pairs if pair.ratio is None), lambda pair: pair.reason).items():
        clauses.append(f"not comparable with {joined([pair.b for pair in apart])} ({reason})")
    return f"{ahead} is {joined(clauses)}."


def _clause(seen: Comparison, ratio: Ratio, confidence: float) -> str:
    other, known = seen.b, interval(ratio, confidence)
    if seen.verdict == "equivalent":
        return f"as fast as {other} (ratio {ratio.value:.2f}, {known})"
    if seen.verdict == "inconclusive":
        blocks = "more" if seen.blocks_needed is None else str(seen.blocks_needed)
        return f"not shown to differ from {other} (ratio {ratio.value:.2f}, {known}; {blocks} blocks needed)"
    return f"{ratio.value:.2f} times as fast as {other} ({known})"


def _thriftier(ahead: str, pairs: Iterable[Comparison]) -> str:
    """Who needs significantly less memory than the arm that is ahead; empty if nobody does."""
    found = []
    for pair in pairs:
        if ahead in (pair.a, pair.b):
            seen = pair.seen_from(pair.b if ahead == pair.a else pair.a)
            if seen.verdict == "faster" and seen.ratio is not None:
                found.append(f"{seen.a} needs {100 * (1 - 1 / seen.ratio.value):.0f} % less memory than {ahead}")
    return f" {joined(found)}." if found else ""


def joined(words: Sequence[str]) -> str:
    """ "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _compared(results: Results) -> str:
    trials = [record.trial for record in results.ordered]

    def names(values: Iterable[object]) -> str:
        return joined([str(value) for value in dict.fromkeys(values)])

    if not trials:
        return "No trial has ended."
    blocks = 1 + max(trial.block for trial in trials)
    task, doing = ("train", "training") if any(trial.task == "train" for trial in trials) else ("infer", "inference")
    sizes = sorted({trial.batch_size for trial in trials if trial.task == task})
    return (
        f"{names(shown_framework(trial) for trial in trials)} on "
        f"{names(f'{trial.model} ({trial.dataset})' for trial in trials)}; "
        f"{names(where(trial) for trial in trials)}; {doing} at batch size {names(sizes)}; "
        f"{names(trial.precision for trial in trials)}; {blocks} block{'s' if blocks > 1 else ''}." + _resumed(results)
    )


def _resumed(results: Results) -> str:
    """When the run went on, if it was resumed; empty if it was not."""
    later = [part.started for part in results.parts[1:]]
    if not later:
        return ""
    return f" Interrupted and resumed {len(later)} time{'s' if len(later) > 1 else ''}, last at {later[-1]}."


def _machines(results: Results) -> tuple[str, ...]:
    """A line per kind of machine; where they ran different models, with the models that ran there."""
    lines = {key: _machine(facts) for key, facts in results.machines.items()}
    ran = grouped(results.ordered, lambda record: lines.get(record.machine, ""))
    models = {line: list(dict.fromkeys(record.trial.model for record in ran.get(line, ()))) for line in lines.values()}
    if len({frozenset(names) for names in models.values()}) < 2:
        return tuple(models)
    return tuple(f"{joined(names)}: {line}" if names else line for line, names in models.items())


def _machine(facts: Mapping[str, Any]) -> str:
    """One line: processor, CPUs that may be used, memory, GPUs, system."""
    affinity, gpus = facts.get("cpu_affinity"), facts.get("gpus") or []
    cpus = f"{len(affinity)} of {facts.get('cpu_count')} CPUs" if affinity else f"{facts.get('cpu_count')} CPUs"
    memory = facts.get("memory_bytes")
    parts = [str(facts.get("cpu") or "unknown processor"), cpus, f"{memory / 1e9:.0f} GB memory" if memory else ""]
    parts += [f"{number} x {name}" for name, number in Counter(str(gpu.get("name")) for gpu in gpus).items()]
    parts += [f"Python {facts['python']}" if facts.get("python") else "", str(facts.get("system") or "")]
    return ", ".join(part for part in parts if part)


def _parity(results: Results) -> str:
    if not results.parity:
        return "Not verified: the run skipped the parity ladder, so nothing says that the models are the same."
    verdicts = Counter(result.verdict for result in results.parity)
    total = len(results.parity)
    if verdicts["verified"] == total:
        return f"All {total} models are proven to compute what the NumPy reference computes."
    others = [
        f"{shown_framework(result)} {result.model}: {result.verdict}"
        for result in results.parity
        if result.verdict != "verified"
    ]
    return f"{verdicts['verified']} of {total} models are proven identical to the NumPy reference; {'; '.join(others)}."


def _doubts(results: Results) -> tuple[str, ...]:
    found = []
    if results.interrupted:
        found.append("The run was interrupted: this is what had ended by then.")
    found += [f"The run was resumed with --force although something had changed: {line}." for line in results.forced]
    found += _failures(results.failures())
    apart = (row for row in results.rows if row.parity.verdict == "not comparable")
    for (model, reason), rows in sorted(grouped(apart, lambda row: (row.model, row.parity.reason)).items()):
        found.append(f"Not comparable: {joined(sorted({shown_framework(row) for row in rows}))} {model}: {reason}")
    blocks = 1 + max((record.trial.block for record in results.records), default=0)
    if blocks == 1:
        found.append("One block shows no difference: what is said above has no interval. Repeat it with --blocks 10.")
    found += _flagged(results, "Unstable", DOUBTFUL) + _flagged(results, "Warning", ("warn",))
    notes = dict.fromkeys((record.trial.dataset, note) for record in results.records for note in record.notes)
    found += [f"The data set {dataset}: {note.text}." for dataset, note in notes]
    found += [f"The machine: {flag}." for flag in results.machine_flags() if flag.level != "note"]
    return tuple(found)


def _failures(failures: Sequence[Record]) -> list[str]:
    reasons = grouped(failures, lambda record: (shown_framework(record.trial), record.status, record.reason))
    return [
        f"{len(records)} trial{'s' if len(records) > 1 else ''} of {framework} {status}: {reason}"
        for (framework, status, reason), records in reasons.items()
    ]


def _flagged(results: Results, word: str, levels: Collection[str]) -> list[str]:
    """A sentence per kind of flag of these levels, with the arms that it concerns. word: for the levels."""
    arms: dict[str, set[str]] = {}
    for (group, arm), flags in results.flags.items():
        for flag in flags:
            if flag.level in levels:
                arms.setdefault(flag.name, set()).add(f"{arm} {DOING[group.task]} {group.model}")
    return [
        f"{word} ({name}): {', '.join(sorted(found)[:6])}" + (f" and {len(found) - 6} more" if len(found) > 6 else "")
        for name, found in arms.items()
    ]


DOING = {"train": "training", "infer": "answering with"}
