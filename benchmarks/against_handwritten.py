"""What the harness costs: plain hand-written loops against mlbench's own workers, in randomised blocks of fresh processes.

`nox -s bench` prints a ratio with its interval per framework, model and task, and writes the table to docs/methodology.md.
Every process is appended to a journal as it ends; `--resume` goes on from it.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from attrs import evolve, frozen

from benchmarks.tables import put, table
from benchmarks.workers import THREADS, TIME_LIMIT_S, Workers
from mlbench_core.results.flags import seconds_per_step
from mlbench_core.stats.ratio import ratio
from mlbench_core.stats.verdict import blocks_needed, verdict
from mlbench_core.thresholds import Compare, Measure
from mlbench_core.trial import Calibration, Task

SCRIPTS = {"pytorch": "torch_loops.py", "tensorflow": "tf_loops.py", "jax": "jax_loops.py"}
MODELS = ("mlp", "resnet18", "bert-mini")
TASKS: tuple[Task, ...] = ("train", "infer")
COMPARE = Compare(delta=0.01, alpha=0.05)
"""Equivalent within 1 %; each pair is a question of its own, so nothing is adjusted."""
TOKEN_IDS = 17
"""The digits' tokens are 0 to 16."""

SEARCH = Measure(
    warmup_steps=10, warmup_seconds=0.5, steady_window=5, steady_limit=10, min_values=1, min_seconds=0, queries=1
)
VALUES = 8
TIMED = evolve(SEARCH, min_values=VALUES, early_deviation=0.0)


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


def by_hand(pair: Pair, known: Calibration, workers: Workers) -> float:
    """Seconds per step of the hand-written loop: the median of its values."""
    arrays, tokens = workers.arrays(pair.model), pair.model == "bert-mini"
    job: dict[str, Any] = {
        "model": pair.model,
        "task": pair.task,
        "input_shape": list(arrays.input_shape),
        "num_classes": arrays.num_classes,
        "vocabulary": 30522 if tokens else None,
        "token_ids": TOKEN_IDS if tokens else None,
        "batch_size": 32 if pair.task == "train" else 1,
        "threads": THREADS,
        "warmup_steps": known.warmup_steps,
        "steps_per_value": known.steps_per_value,
        "values": VALUES,
    }
    script = Path(__file__).with_name("handwritten") / SCRIPTS[pair.framework]
    done = subprocess.run(
        [sys.executable, str(script), json.dumps(job)],
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{script.name}: {done.stderr[-500:]}")
    return median(json.loads(done.stdout.splitlines()[-1])["values"]) / known.steps_per_value


def by_harness(pair: Pair, known: Calibration, workers: Workers) -> float:
    """Seconds per step of mlbench's worker."""
    return seconds_per_step(workers.run(pair.framework, pair.model, pair.task, TIMED, known))


ARMS = {"hand": by_hand, "harness": by_harness}


def measure(pairs: list[Pair], blocks: int, journal: Path, workers: Workers, seed: int) -> None:
    """Runs what the journal lacks: in each block all pairs in random order, in each pair both arms in random order."""
    done = read(journal)
    for block in range(blocks):
        order = list(pairs)
        random.Random(f"{seed}/{block}").shuffle(order)
        for pair in order:
            if ("calibration", pair.name) not in done:
                found = workers.run(pair.framework, pair.model, pair.task, SEARCH, None).measured.calibration
                assert found is not None
                done["calibration", pair.name] = [found.steps_per_value, found.warmup_steps]
                append(journal, ["calibration", pair.name], done["calibration", pair.name])
            known = Calibration(*done["calibration", pair.name])
            arms = list(ARMS)
            random.Random(f"{seed}/{block}/{pair.name}").shuffle(arms)
            for arm in arms:
                if (arm, pair.name, block) not in done:
                    append(journal, [arm, pair.name, block], ARMS[arm](pair, known, workers))
        print(f"block {block + 1} of {blocks}", flush=True)


def read(journal: Path) -> dict[tuple[Any, ...], Any]:
    """What has been measured: by ("calibration", pair), and by (arm, pair, block) in seconds per step."""
    lines = journal.read_text().splitlines() if journal.is_file() else []
    return {tuple(entry["key"]): entry["value"] for entry in map(json.loads, lines)}


def append(journal: Path, key: list[Any], value: Any) -> None:
    """One line, at once."""
    with journal.open("a") as file:
        file.write(json.dumps({"key": key, "value": value}) + "\n")


def report(pairs: list[Pair], journal: Path) -> str:
    """The table: time by hand over time in the harness, so that 0.99 means that the harness costs 1 %."""
    done, rows = read(journal), []
    for pair in pairs:
        blocks = sorted({key[2] for key in done if len(key) == 3 and key[1] == pair.name})
        times = [[done.get((arm, pair.name, block)) for block in blocks] for arm in ("harness", "hand")]
        both = [(a, b) for a, b in zip(*times, strict=True) if a is not None and b is not None]
        if len(both) < 2:
            continue
        r = ratio([a for a, _ in both], [b for _, b in both], COMPARE.confidence)
        said: str = verdict(r, r.p, COMPARE)
        if said == "inconclusive":
            said += f": {blocks_needed(r, 1, COMPARE) or 'over 1000'} blocks needed"
        elif said in ("faster", "slower"):
            said = f"harness {said}"
        step = 1e3 * median(b for _, b in both)
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
    parser.add_argument("--frameworks", nargs="+", default=list(SCRIPTS), choices=list(SCRIPTS))
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--output", type=Path, default=Path("results/bench"))
    parser.add_argument("--resume", action="store_true", help="go on from the journal in the output folder")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    journal = given.output / "handwritten.jsonl"
    if not given.resume:
        journal.unlink(missing_ok=True)
    pairs = [Pair(f, m, t) for f in given.frameworks for m in given.models for t in TASKS]
    measure(pairs, given.blocks, journal, Workers(given.output / "logs"), given.seed)
    text = report(pairs, journal)
    print(text)
    if len(pairs) == len(SCRIPTS) * len(MODELS) * len(TASKS):
        put("handwritten", text)


if __name__ == "__main__":
    main()
