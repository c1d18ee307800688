"""What the harness costs: plain hand-written loops against mlbench's own workers, in randomised blocks of fresh processes.

`nox -s bench` prints a ratio with its interval per framework, model and task, and writes the table to
docs/explanation/harness-cost.md.
Every process is appended to a journal as it ends; `--resume` goes on from it.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

from attrs import asdict, evolve, frozen

from benchmarks.tables import put, table
from benchmarks.turns import values_by_turn
from benchmarks.workers import Workers
from mlbench_core.executor import Running
from mlbench_core.results.compared import by_turn
from mlbench_core.runner.turns import run_alone, run_in_turns
from mlbench_core.stats.ratio import Ratio, log_ratio, ratio
from mlbench_core.stats.verdict import blocks_needed, verdict
from mlbench_core.thresholds import Compare, ExtendUntil, Measure
from mlbench_core.trial import Calibration, Task

SCRIPTS = {"pytorch": "torch_loops.py", "tensorflow": "tf_loops.py", "jax": "jax_loops.py"}
MODELS = ("mlp", "resnet18", "bert-mini")
TASKS: tuple[Task, ...] = ("train", "infer")
COMPARE = Compare(delta=0.01, alpha=0.05)
"""Equivalent within 1 %; each pair is a question of its own, so nothing is adjusted."""
SEARCH = Measure(
    warmup_steps=3,
    warmup_seconds=0.5,
    steady_window=3,
    steady_limit=6,
    min_values=1,
    min_seconds=0,
    queries=1,
    turn_seconds=0.15,
)
"""Shorter turns than a run's: a loop of NumPy's, cut into two arms of 3 s here, deviated by 0.6 % between blocks with turns of
0.5 s and by 0.2 % with turns of 0.1 s. Two values in a turn, after the one that does not count."""
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(4 << 30)}
"""For both arms. Left alone, glibc decides by what was allocated before whether freed memory goes back to the system, and
PyTorch's BERT then takes 9,000 or 50,000 page faults a step: 5 % of its time that have nothing to do with either loop."""
HALF_WIDTH = 0.004
"""Of the 95 % interval: then the 90 % interval of a pair that is alike to 0.6 % lies within 1 % of 1."""
MIN_VALUES = 6
SECONDS = 2.0
"""Each process is measured for about this long: what deviates on one CPU is the process, not the value in it."""


@frozen
class Pair:
    """One question: does the harness cost anything for this model, in this framework, in this task?"""

    framework: str
    model: str
    task: Task

    @property
    def name(self) -> str:
        """As the journal and the table call it."""
        return f"{self.framework} {self.model} {self.task}"


@frozen
class Timing:
    """What both arms of a pair do: k steps in a value, so many values, after so many steps to warm up."""

    steps_per_value: int
    warmup_steps: int
    values: int


def by_hand(pair: Pair, timing: Timing, workers: Workers) -> Running[list[list[float]]]:
    """The values by turn of the hand-written loop in a fresh process; yields when it has had its turn."""
    arrays, tokens = workers.arrays(pair.model), pair.model == "bert-mini"
    job: dict[str, Any] = {
        "model": pair.model,
        "task": pair.task,
        "input_shape": list(arrays.input_shape),
        "num_classes": arrays.num_classes,
        "batches": str(workers.ring(pair.model, pair.task)),
        "vocabulary": 30522 if tokens else None,
        "threads": workers.threads,
        "turn_seconds": SEARCH.turn_seconds,
        **asdict(timing),
    }
    script = Path(__file__).with_name("handwritten") / SCRIPTS[pair.framework]
    with (
        (workers.logs / f"{pair.name}.log").open("w") as log,
        subprocess.Popen(
            [sys.executable, str(script), json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # as workers are: the scheduler may share CPUs out by session
        ) as process,
    ):
        try:
            return (yield from values_by_turn(process))
        finally:
            process.kill()


def by_harness(pair: Pair, timing: Timing, workers: Workers) -> Running[list[list[float]]]:
    """The values by turn of mlbench's worker in a fresh process; yields when it has had its turn."""
    measure = evolve(SEARCH, min_values=timing.values, early_deviation=0.0)
    known = Calibration(timing.steps_per_value, timing.warmup_steps)
    record = yield from workers.run(pair.framework, pair.model, pair.task, measure, known)
    return by_turn(record.measured.values, record.measured.turns)


ARMS: dict[str, Callable[[Pair, Timing, Workers], Running[list[list[float]]]]] = {
    "hand": by_hand,
    "harness": by_harness,
}


@frozen(kw_only=True)
class Bench:
    """A run: its journal and what is in it, and sets of CPUs, each of which measures one pair at a time."""

    journal: Path
    done: dict[tuple[Any, ...], Any]
    workers: Workers
    seed: int
    cpus: queue.SimpleQueue[set[int]]

    def keep(self, value: Any, *key: Any) -> None:
        """Remembers a value and appends it to the journal, at once."""
        self.done[key] = value
        with self.journal.open("a") as file:
            file.write(json.dumps({"key": key, "value": value}) + "\n")

    def run(self, pair: Pair, block: int) -> None:
        """One block of a pair, both arms in turns; nothing if the journal has it. To be called in a thread, which it binds."""
        if ("hand", pair.name, block) in self.done and ("harness", pair.name, block) in self.done:
            return
        mine = self.cpus.get()
        try:
            os.sched_setaffinity(0, mine)  # of this thread and of the processes that it starts
            if ("timing", pair.name) not in self.done:
                self.keep(asdict(_timing(pair, self.workers)), "timing", pair.name)
            arms = list(ARMS)
            random.Random(f"{self.seed}/{block}/{pair.name}").shuffle(arms)
            running = {ARMS[arm](pair, Timing(**self.done["timing", pair.name]), self.workers): arm for arm in arms}
            for one, turns in run_in_turns(running):
                self.keep(turns, running[one], pair.name, block)
        finally:
            self.cpus.put(mine)


def measure(pairs: list[Pair], blocks: int, until: ExtendUntil, bench: Bench) -> None:
    """Runs what the journal lacks: in each block all pairs in random order.

    After `blocks` blocks only those pairs go on whose interval is wider than `until` wants.
    """
    with ThreadPoolExecutor(bench.cpus.qsize()) as threads:
        for block in range(until.max_blocks):
            order = [pair for pair in pairs if block < blocks or _wide(pair, bench.done, until)]
            random.Random(f"{bench.seed}/{block}").shuffle(order)
            list(threads.map(lambda pair: bench.run(pair, block), order))  # noqa: B023  # ended before block changes
            if order:
                print(f"block {block + 1}: {len(order)} pairs", flush=True)


def _timing(pair: Pair, workers: Workers) -> Timing:
    found = workers.run(pair.framework, pair.model, pair.task, SEARCH, None, takes_turns=False)
    measured = run_alone(found).measured
    assert measured.calibration is not None
    values = max(MIN_VALUES, round(SECONDS / median(measured.values)))
    return Timing(measured.calibration.steps_per_value, measured.calibration.warmup_steps, values)


def _cpus(each: int, sets: int) -> queue.SimpleQueue[set[int]]:
    """Sets of CPUs, as many as wanted and there are; the last CPUs, since interrupts go to the first."""
    allowed = sorted(os.sched_getaffinity(0), reverse=True)
    found: queue.SimpleQueue[set[int]] = queue.SimpleQueue()
    for place in range(max(1, min(sets, len(allowed) // each))):
        found.put(set(allowed[each * place : each * (place + 1)]))
    return found


def _wide(pair: Pair, done: dict[tuple[Any, ...], Any], until: ExtendUntil) -> bool:
    half = compared(pair, done).half_width
    return half is None or half > until.half_width


def compared(pair: Pair, done: dict[tuple[Any, ...], Any]) -> Ratio:
    """Time by hand over time in the harness, so that 0.99 means that the harness costs 1 %; in turns, as results compare."""
    # A run that was killed may have kept one arm of its last block.
    blocks = [key[2] for key in done if key[:2] == ("hand", pair.name) and ("harness", *key[1:]) in done]
    logs = [log_ratio(done["harness", pair.name, block], done["hand", pair.name, block]) for block in blocks]
    return ratio(logs, COMPARE.confidence)


def read(journal: Path) -> dict[tuple[Any, ...], Any]:
    """What has been measured: by ("timing", pair), and by (arm, pair, block) the values by turn in seconds."""
    lines = journal.read_text().splitlines() if journal.is_file() else []
    return {tuple(entry["key"]): entry["value"] for entry in map(json.loads, lines)}


def report(pairs: list[Pair], journal: Path) -> str:
    """The table, a row per pair."""
    done, rows = read(journal), []
    for pair in pairs:
        r = compared(pair, done)
        said: str = verdict(r, r.p, COMPARE)
        if said == "inconclusive":
            said += f": {blocks_needed(r, 1, COMPARE) or 'over 1000'} blocks needed"
        elif said in ("faster", "slower"):
            said = f"harness {said}"
        hand = [median(chain(*turns)) for key, turns in done.items() if key[:2] == ("hand", pair.name)]
        step = 1e3 * median(hand) / done["timing", pair.name]["steps_per_value"]
        interval = f"[{r.low:.4f}, {r.high:.4f}]"
        half = f"{100 * (r.half_width or 0):.2f} %"
        rows.append(
            [
                pair.framework,
                pair.model,
                pair.task,
                f"{step:.3f}",
                f"{r.value:.4f}",
                interval,
                half,
                str(r.blocks),
                said,
            ]
        )
    head = [
        "framework",
        "model",
        "task",
        "ms per step",
        "ratio of speeds",
        "95 % interval",
        "half-width",
        "blocks",
        "within 1 %",
    ]
    return table(head, rows)


def main() -> None:
    """Measures and reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=10)
    wide = f"for pairs whose interval is wider than +-{100 * HALF_WIDTH:g} %%"
    parser.add_argument("--max-blocks", type=int, default=40, help=wide)
    parser.add_argument("--frameworks", nargs="+", default=list(SCRIPTS), choices=list(SCRIPTS))
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument(
        "--cpus",
        type=int,
        default=1,
        help="for both arms of a pair and for what watches them (see docs/explanation/harness-cost.md)",
    )
    parser.add_argument(
        "--at-once", type=int, default=1, help="pairs that are measured at a time, on CPUs of their own"
    )
    parser.add_argument("--output", type=Path, default=Path("results/bench"))
    parser.add_argument("--resume", action="store_true", help="go on from the journal in the output folder")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    journal = given.output / "handwritten.jsonl"
    if not given.resume:
        journal.unlink(missing_ok=True)
    os.environ |= ALLOCATOR
    pairs = [Pair(f, m, t) for f in given.frameworks for m in given.models for t in TASKS]
    until = ExtendUntil(half_width=HALF_WIDTH, max_blocks=max(given.blocks, given.max_blocks))
    workers, cpus = Workers(given.output / "logs", given.cpus), _cpus(given.cpus, given.at_once)
    measure(
        pairs,
        given.blocks,
        until,
        Bench(journal=journal, done=read(journal), workers=workers, seed=given.seed, cpus=cpus),
    )
    text = report(pairs, journal)
    print(text)
    if len(pairs) == len(SCRIPTS) * len(MODELS) * len(TASKS):
        put("handwritten", text)


if __name__ == "__main__":
    main()
