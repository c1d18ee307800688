"""How to read a report: what each of its words means, with the rule and the run's own thresholds behind it."""

from __future__ import annotations

from attrs import frozen

from mlbench_core.config import Config
from mlbench_core.stats.percentiles import MINIMUM_QUERIES
from mlbench_core.stats.verdict import EQUIVALENCE
from mlbench_core.verify.rungs import ACCURACY


@frozen
class Word:
    """A word, and what it means."""

    name: str
    meaning: str

    @property
    def anchor(self) -> str:
        """The id of its entry in the page."""
        return "word-" + self.name.replace(" ", "-")


def reading(config: Config) -> tuple[Word, ...]:
    """The words of a report, in the order in which a reader meets them."""
    rules, limits = config.compare, config.limits
    delta, alpha = f"{100 * rules.delta:g} %", f"{100 * rules.alpha:g} %"
    queries = ", ".join(f"{least:,} for p{p:g}" for p, least in MINIMUM_QUERIES.items())
    return (
        Word("group", "What is compared: alike in model, data, device, batch size and precision."),
        Word("arm", "One framework, with one way of executing, within a group."),
        Word(
            "block",
            "One repetition of every arm in fresh processes. Each block counts as one value, however much it measured.",
        ),
        Word("ratio", "How many times as good the first arm is: the exponential of the blocks' mean log ratio."),
        Word(
            "interval",
            f"Where the ratio lies at {100 * rules.confidence:g} % confidence: Student's t over the blocks' log ratios. "
            "One block has none.",
        ),
        Word(
            "faster",
            f"Holm's adjusted p is at most {alpha} and the ratio differs from 1 by at least {delta}. "
            "Slower is the same the other way round.",
        ),
        Word("equivalent", f"The {100 * EQUIVALENCE:g} % interval lies within {delta}: no difference that matters."),
        Word(
            "inconclusive", "Neither a difference nor equivalence is shown; the blocks that should decide it are named."
        ),
        Word(
            "not comparable", "The models are not proven the same, a trial failed, or a number is impossible: no ratio."
        ),
        Word(
            "parity",
            "Structure, initial weights, outputs, gradients and 25 training steps agree with a NumPy reference in float64, "
            f"and accuracies after training lie within {100 * ACCURACY:g} points of one another.",
        ),
        Word(
            "unstable",
            f"Do not rely on the number: its values spread (interquartile range above {100 * limits.spread_unstable:g} % of "
            f"the median), drift by more than {100 * limits.drift:g} %, fall into two clusters, or were disturbed.",
        ),
        Word("first step", "The first training step with its compilation. It is in no other number."),
        Word("percentile", f"Shown only if there are enough queries to know it: {queries}."),
        Word(
            "MFU", "Operations by the architecture over time, as a share of the fastest matrix product measured here."
        ),
    )
