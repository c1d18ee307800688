"""What the three scripts share: their jobs, the process's CPUs, the batches and the clock. No framework is imported here."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

LEARNING_RATE = {"mlp": 2**-5, "resnet18": 2**-9, "bert-mini": 2**-12}


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How a process measures: steps to warm up, k steps in a value, so many values, in turns of so many seconds; 0: in one."""

    warmup_steps: int
    steps_per_value: int
    values: int
    turn_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Job(Timing):
    """One measurement, as it stands in the JSON argument.

    batches: an .npz file of x (batches, batch size, ...), float32 or int32 token ids, and y (batches, batch size), int32.
    input_shape: of a sample; images are (height, width, channels). vocabulary: rows of the token table, for bert-mini alone.
    """

    model: str
    task: str
    batches: str
    input_shape: list[int]
    num_classes: int
    threads: int
    vocabulary: int | None = None


def prepare(**variables: str) -> list[Job]:
    """The jobs of the command line, one or a list. Call it before a framework is imported.

    Binds the process to as many CPUs as it may have threads, hides GPUs, and sets `variables` in the environment.
    """
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} '<JSON of a job, or of a list of jobs>'")
    given = json.loads(sys.argv[1])
    jobs = [Job(**facts) for facts in (given if isinstance(given, list) else [given])]
    threads = {job.threads for job in jobs}
    if len(threads) != 1:
        sys.exit(f"one process has one number of threads, the jobs have {sorted(threads)}")
    count = threads.pop()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        os.environ[name] = str(count)
    os.environ |= {"CUDA_VISIBLE_DEVICES": "", **variables}
    return jobs


def batches(job: Job) -> list[tuple[Any, Any]]:
    """The job's NumPy batches (x, labels)."""
    import numpy as np  # not above: it starts threads, which must be bound already

    with np.load(job.batches) as held:
        return list(zip(held["x"], held["y"], strict=True))


def measure(job: Timing, run: Callable[[int], None], num_parameters: int) -> None:
    """Times `run`, which does that many steps and waits for the device once, and prints the job's line.

    With `turn_seconds`, says "turn" and waits for a line on standard input before the first value and whenever they are over;
    the first value after that does not count. The line has the values by turn.
    """

    def seconds(steps: int) -> float:
        start = perf_counter()
        run(steps)
        return perf_counter() - start

    first = seconds(1)
    run(job.warmup_steps)
    turns: list[list[float]] = []
    while sum(map(len, turns)) < job.values:
        if not turns or (job.turn_seconds and sum(turns[-1]) >= job.turn_seconds):
            turns.append([])
            if job.turn_seconds:
                print("turn", flush=True)
                sys.stdin.readline()
                run(job.steps_per_value)
        turns[-1].append(seconds(job.steps_per_value))
    print(json.dumps({"turns": turns, "first_step_s": first, "num_parameters": num_parameters}), flush=True)
