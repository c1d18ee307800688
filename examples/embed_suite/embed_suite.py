"""Decides between two frameworks for training a model on this machine, and says why."""

import argparse
import sys
from typing import Any

from attrs import frozen

from mlbench_core import Results, Suite
from mlbench_core.results.compared import TRAINING

UNTIL = {"half_width": 0.05, "max_blocks": 10}
"""The answer is wanted within 5 %, and in at most ten blocks."""


@frozen
class Decision:
    """framework: None where the measurement does not decide. why: a sentence."""

    framework: str | None
    why: str


def decide(results: Results, one: str, two: str) -> Decision:
    """By the verdict of the run's own statistics, and not by the larger number."""
    failed = results.failures()
    if failed:
        return Decision(None, f"{failed[0].trial.label} failed: {failed[0].reason}")
    (found,) = (each for each in results.comparisons if each.metric == TRAINING.name)
    seen = found.seen_from(one)
    if seen.verdict == "not comparable":
        return Decision(None, f"their numbers cannot be compared: {seen.reason}")
    chosen = {"faster": one, "slower": two}.get(seen.verdict)
    return Decision(chosen, seen.describe())


def measured(one: str, two: str, model: str, **keys: Any) -> Results:
    """A run of both; `keys` are those of a configuration."""
    asked = {"devices": ["cpu"], "num_epochs": 1, "blocks": 3, "extend_until": UNTIL, "output": "decision"}
    return Suite(frameworks=[one, two], models=[model], **asked | keys).run(overwrite=True)


def main() -> int:
    """Status 0 if there is a decision."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("one")
    parser.add_argument("two")
    parser.add_argument("--model", default="mlp")
    asked = parser.parse_args()
    decision = decide(measured(asked.one, asked.two, asked.model), asked.one, asked.two)
    print(f"take {decision.framework}" if decision.framework else "nothing is decided")
    print(decision.why)
    return 0 if decision.framework else 1


if __name__ == "__main__":
    sys.exit(main())
