"""Which device, how many, which precision, which batch size: what the first screen says of each, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from attrs import frozen

from mlbench_core.nodes import where
from mlbench_core.record import Record
from mlbench_core.report.headline import interval
from mlbench_core.results import Results
from mlbench_core.results.choices import Choice, Respect
from mlbench_core.results.groups import Group, arm_label, group_of, grouped
from mlbench_core.results.metrics import MB, peak_memory
from mlbench_core.stats.ratio import Ratio

QUESTIONS: dict[Respect, str] = {
    "device": "GPU or CPU?",
    "devices": "One device or several?",
    "precision": "Which precision?",
    "batch size": "Which batch size?",
}

Trained = Mapping[tuple[Group, str], Sequence[Record]]
"""The training records of each arm of each group."""


@frozen
class Question:
    """A question that people come with, and a sentence per model and arm that answers it."""

    text: str
    answers: tuple[str, ...]


def questions(results: Results) -> tuple[Question, ...]:
    """Those that the results can answer."""
    confidence, trained = results.settings.compare.confidence, _trained(results.records)
    by_respect = grouped(results.choices, lambda choice: choice.respect)
    found = []
    for respect, text in QUESTIONS.items():
        best = _best(by_respect.get(respect, ()))
        lines = [f"{choice.group.model}: {_clause(choice, trained, confidence)}." for choice in best]
        if lines:
            found.append(Question(text, tuple(lines)))
    return tuple(found)


def _best(found: Iterable[Choice]) -> list[Choice]:
    """Of each arm and model the choice with the largest gain; of scaling, every one."""
    kept = []
    for choices in grouped(found, lambda c: (c.group.model, c.group.dataset, c.group.node, c.arm)).values():
        if choices[0].respect == "devices":
            kept += choices
        else:
            kept.append(max(choices, key=lambda choice: choice.gain.value))
    return kept


def _clause(choice: Choice, trained: Trained, confidence: float) -> str:
    group, base = choice.group, choice.base
    known = interval(choice.gain, confidence)
    if choice.respect == "devices":
        efficiency, each = choice.efficiency, group.batch_size // int(choice.devices)
        same = group.batch_size == base.batch_size
        shared = f"batch {group.batch_size}, shared" if same else f"{each} samples per device"
        return (
            f"{choice.arm} trains {choice.gain.value:.2f} times as fast on {where(group)} as on {base.device} "
            f"({shared}, {group.precision}): {100 * efficiency.value:.0f} % of linear ({_range(efficiency, confidence)})"
        )
    at = {
        "device": f"on {where(group)} as on the CPU (batch {group.batch_size}, {group.precision}",
        "precision": f"in {group.precision} as in {base.precision} (on {where(group)}, batch {group.batch_size}",
        "batch size": f"at batch {group.batch_size} as at {base.batch_size} (on {where(group)}, {group.precision}",
    }[choice.respect]
    if choice.gain.value < 1:
        words = f"{choice.arm} gains nothing: {choice.gain.value:.2f} times as fast {at}, {known})"
    else:
        words = f"{choice.arm} trains {choice.gain.value:.2f} times as fast {at}, {known})"
    return words + _cost(choice, trained) if choice.respect in ("precision", "batch size") else words


def _range(share: Ratio, confidence: float) -> str:
    """ "95 % interval 90 to 94 %", or that one block has none."""
    if share.low is None or share.high is None:
        return interval(share, confidence)
    return f"{100 * confidence:g} % interval {100 * share.low:.0f} to {100 * share.high:.0f} %"


def _cost(choice: Choice, trained: Trained) -> str:
    """What comes with it: peak memory and accuracy of both."""
    mine, theirs = (trained.get((group, choice.arm), ()) for group in (choice.group, choice.base))
    parts = []
    memory = [_middle(peak_memory(record) for record in records) for records in (mine, theirs)]
    if memory[0] and memory[1]:
        parts.append(f"peak memory {memory[0] / MB:,.0f} MB against {memory[1] / MB:,.0f}")
    accuracy = [_middle(record.measured.final_val_accuracy for record in records) for records in (mine, theirs)]
    if accuracy[0] is not None and accuracy[1] is not None:
        parts.append(f"validation accuracy {100 * accuracy[0]:.1f} % against {100 * accuracy[1]:.1f}")
    return f", {' and '.join(parts)}" if parts else ""


def _trained(records: Iterable[Record]) -> Trained:
    """Looked through once: each choice asks for two arms of a thousand."""
    training = (record for record in records if record.trial.task == "train")
    return grouped(training, lambda r: (group_of(r.trial), arm_label(r.trial)))


def _middle(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
