"""The harness under `tuned` against loops written by hand by each framework's performance guide, on one GPU, bf16, compiled.

`python -m benchmarks.gpu.one_gpu --blocks 3` needs torchvision and transformers. In each block of a pair, one process by hand
and one of mlbench's workers are there at the same time and take turns of a second; a ratio below 1 means that the harness is
slower. Each block is appended to a journal as it ends; `--resume` goes on from it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from statistics import median

from attrs import evolve, frozen

from benchmarks.gpu.common import BERT_CLASSES, IMAGE, IMAGE_CLASSES, Job
from benchmarks.tables import DOCS, card_of, put, table
from benchmarks.turns import values_by_turn
from mlbench_core.data import prepare
from mlbench_core.executor import Running, Setting, record_of, trial_request
from mlbench_core.executors import local
from mlbench_core.machine.cache import cache_folder
from mlbench_core.machine.gpus import gpu_facts
from mlbench_core.registry import Registry, load_registry
from mlbench_core.results.compared import by_turn
from mlbench_core.runner.turns import run_in_turns
from mlbench_core.stats.ratio import log_ratio, ratio
from mlbench_core.stats.verdict import verdict
from mlbench_core.thresholds import Compare, Measure
from mlbench_core.trial import Calibration, Trial
from mlbench_core.trial import Job as TrialJob

JOURNAL = DOCS / "results" / "gpu" / "one_gpu.jsonl"
"""Of the blocks that docs/explanation/harness-cost.md tells of."""
SCRIPTS = {"pytorch": "torch_loop", "jax": "jax_loop", "tensorflow": "tf_loop"}
TURN_S, TURNS, VALUE_S = 1.0, 4, 0.2
STEP_S = {"resnet18": 0.016, "resnet50": 0.046, "bert-base": 0.024}
"""Roughly, of an H100: only for how many steps a value has."""
MEASURE = Measure(
    warmup_steps=5,
    warmup_seconds=1.0,
    steady_limit=0,
    min_seconds=0,
    early_deviation=0.0,
    queries=1,
    turn_seconds=TURN_S,
)


@frozen
class Pair:
    """One question. length: of sequences; 0 for images."""

    framework: str
    model: str
    batch_size: int
    length: int = 0

    @property
    def name(self) -> str:
        """As the journal calls it."""
        return f"{self.framework} {self.model} {self.length or IMAGE[0]}"

    @property
    def steps(self) -> int:
        """In a value."""
        return max(1, round(VALUE_S / STEP_S[self.model]))


PAIRS = (
    *(
        Pair(framework, *rest)
        for framework in ("pytorch", "jax")
        for rest in (("resnet18", 256), ("resnet50", 256), ("bert-base", 64, 128), ("bert-base", 32, 512))
    ),
    Pair("tensorflow", "resnet18", 256),
)


@contextmanager
def started(pair: Pair, logs: Path) -> Iterator[subprocess.Popen[str]]:
    """The process of a loop by hand, which compiles while the worker does."""
    values = TURNS * max(1, round(TURN_S / VALUE_S))
    job = Job(
        model=pair.model, batch_size=pair.batch_size, length=pair.length, warmup_steps=2 * pair.steps,
        steps_per_value=pair.steps, values=values, turn_seconds=TURN_S,
    )  # fmt: skip
    command = [sys.executable, "-m", f"benchmarks.gpu.{SCRIPTS[pair.framework]}", json.dumps(vars(job))]
    environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    with (logs / f"{pair.name} by hand.log").open("w") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def by_harness(pair: Pair, registry: Registry, logs: Path) -> Running[list[list[float]]]:
    """The values by turn of mlbench's worker; yields when it has had its turn."""
    model = registry.models[pair.model]
    shape = f"{pair.length}/{BERT_CLASSES}" if pair.length else f"{'x'.join(map(str, IMAGE))}/{IMAGE_CLASSES}"
    data = prepare(
        registry.datasets["synthetic"],
        model,
        argument=f"{shape}@640",
        data_dir=None,
        seed=0,
        cache=cache_folder() / "data",
    )
    trial = Trial(
        framework=pair.framework,
        model=pair.model,
        dataset="synthetic",
        device="cuda:0",
        batch_size=pair.batch_size,
        precision="bf16",
        execution="compiled",
        task="train",
        block=1,
        num_epochs=0,
        seed=0,
        threads=len(os.sched_getaffinity(0)),
        tuned=True,
        measure=evolve(MEASURE, min_values=TURNS * max(1, round(TURN_S / VALUE_S))),
    )
    job = TrialJob(
        trial=trial, model=model.source, data=str(data), calibration=Calibration(pair.steps, 5), takes_turns=True
    )
    setting = Setting(python=sys.executable, time_limit_s=400.0, log=logs / f"{pair.name} harness.log")
    record = record_of(job, (yield from local.run(trial_request(job), setting)), "")
    if record.status != "ok":
        raise RuntimeError(f"{pair.name}: {record.status}: {record.reason}")
    return by_turn(record.measured.values, record.measured.turns)


def block(pair: Pair, registry: Registry, logs: Path) -> dict[str, list[list[float]]]:
    """Both arms in turns, the worker first: the values by turn of each."""
    with started(pair, logs) as process:
        running = {by_harness(pair, registry, logs): "harness", values_by_turn(process): "hand"}
        return {running[one]: turns for one, turns in run_in_turns(running)}


def report(journal: Path) -> str:
    """The table, a row per pair and card that the journal holds."""
    found: dict[tuple[str, str], list[dict[str, list[list[float]]]]] = {}
    for line in journal.read_text().splitlines():
        entry = json.loads(line)
        found.setdefault((entry["pair"], entry["card"]), []).append(entry["turns"])
    known = [(pair, card, blocks) for pair in PAIRS for (name, card), blocks in found.items() if name == pair.name]
    rows = []
    for pair, card, blocks in known:
        r = ratio([log_ratio(each["harness"], each["hand"]) for each in blocks], 0.95)
        hand = median(chain.from_iterable(turn for each in blocks for turn in each["hand"])) / pair.steps
        low, high = ("-", "-") if r.low is None or r.high is None else (f"{r.low:.4f}", f"{r.high:.4f}")
        said = verdict(r, r.p, Compare(delta=0.01, alpha=0.05))
        rows.append(
            [
                pair.framework,
                pair.model,
                str(pair.length or IMAGE[0]),
                str(pair.batch_size),
                card_of(card),
                f"{pair.batch_size / hand:,.0f}",
                f"{r.value:.4f}",
                f"[{low}, {high}]",
                str(r.blocks),
                said,
            ]
        )
    head = [
        "framework",
        "model",
        "size",
        "batch",
        "card",
        "samples/s by hand",
        "ratio",
        "95 % interval",
        "blocks",
        "within 1 %",
    ]
    return table(head, rows)


def main() -> None:
    """Measures and reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--frameworks", nargs="+", default=["pytorch", "jax"], choices=list(SCRIPTS))
    parser.add_argument("--models", nargs="+", default=list(STEP_S), choices=list(STEP_S))
    parser.add_argument("--seconds", type=float, default=1e9, help="start no block after this time")
    parser.add_argument("--output", type=Path, default=Path("results/one_gpu"))
    parser.add_argument("--resume", action="store_true")
    parser.add_argument(
        "--table", action="store_true", help="only write the document's table from the committed journal"
    )
    given = parser.parse_args()
    if given.table:
        put("one_gpu", report(JOURNAL))
        return
    given.output.mkdir(parents=True, exist_ok=True)
    journal, start = given.output / "journal.jsonl", time.monotonic()
    if not given.resume:
        journal.unlink(missing_ok=True)
    journal.touch()
    done = [json.loads(line) for line in journal.read_text().splitlines()]
    pairs = [pair for pair in PAIRS if pair.framework in given.frameworks and pair.model in given.models]
    registry, card = load_registry(Path()), gpu_facts()[0]["name"]
    for number in range(1, given.blocks + 1):
        for pair in random.Random(number).sample(pairs, len(pairs)):
            if time.monotonic() - start > given.seconds:
                break
            if any((entry["pair"], entry["block"]) == (pair.name, number) for entry in done):
                continue
            begun = time.monotonic()
            try:
                turns = block(pair, registry, given.output)
            except RuntimeError as error:
                print(f"{pair.name}: {error}", flush=True)
                continue
            with journal.open("a") as file:
                file.write(json.dumps({"pair": pair.name, "card": card, "block": number, "turns": turns}) + "\n")
            print(f"block {number}: {pair.name}, {time.monotonic() - begun:.0f} s", flush=True)
    print(report(journal))


if __name__ == "__main__":
    main()
