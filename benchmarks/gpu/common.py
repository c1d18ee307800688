"""What the GPU's hand-written loops share: their job, random batches, and turns. No framework is imported here."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

VOCABULARY = 30522
BERT_CLASSES = 10
IMAGE_CLASSES = 1000
IMAGE = (224, 224, 3)
RING = 2
"""Batches that steps take in turn; they lie on the GPU."""


@dataclass(frozen=True)
class Job:
    """One process, as it stands in the JSON argument. length: of a sequence, for bert-base alone."""

    model: str
    batch_size: int
    length: int
    steps_per_value: int
    values: int
    turn_seconds: float


def job() -> Job:
    """The one of the command line."""
    return Job(**json.loads(sys.argv[1]))


def measure(job: Job, run: Callable[[int], None]) -> None:
    """Times `run`, which does that many steps and waits for the GPU once; prints the seconds of each value, by turn.

    Says "turn" on standard output and waits for a line on standard input before each turn, whose first value does not count.
    """
    run(3)  # compiles
    run(2 * job.steps_per_value)
    turns: list[list[float]] = []
    while sum(map(len, turns)) < job.values:
        turns.append([])
        print("turn", flush=True)
        sys.stdin.readline()
        run(job.steps_per_value)
        while sum(turns[-1]) < job.turn_seconds:
            start = perf_counter()
            run(job.steps_per_value)
            turns[-1].append(perf_counter() - start)
    print(json.dumps({"turns": turns}), flush=True)
