"""How far the verdicts can be trusted: false alarms, power and coverage, simulated and on real processes of the same code.

`nox -s trust` prints the tables and writes them to docs/explanation/methodology.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from attrs import evolve

from benchmarks.tables import put, table
from benchmarks.workers import Workers
from mlbench_core.results.compared import by_turn
from mlbench_core.runner.turns import run_in_turns
from mlbench_core.stats.ratio import log_ratio, ratio
from mlbench_core.stats.simulation import ALONE, NOISES, coverage, false_alarms, power, resampled
from mlbench_core.thresholds import Compare, Measure

COMPARE, BLOCKS, SLOWDOWN = Compare(), 10, 1.05
SYNTHETIC, REAL = 1000, 200
MEASURE = Measure(warmup_seconds=0.5, steady_window=5, steady_limit=20, queries=1)
"""As a run measures, but for a shorter warm-up."""


def simulated() -> str:
    """The table for noise of known kind, with the false alarms that 0.05 instead of 0.01 would give beside it."""
    rows = []
    for noise in (*NOISES, ALONE):
        loose = evolve(COMPARE, alpha=0.05)
        rows.append(
            [
                noise.name,
                f"{100 * noise.process:.1f} %",
                _percent(false_alarms(noise, COMPARE, BLOCKS, 10 * SYNTHETIC, seed=0)),
                _percent(false_alarms(noise, loose, BLOCKS, 10 * SYNTHETIC, seed=0)),
                _percent(power(noise, COMPARE, SLOWDOWN, BLOCKS, SYNTHETIC, seed=1)),
                _percent(coverage(noise, COMPARE, BLOCKS, 10 * SYNTHETIC, seed=2)),
            ]
        )
    head = [
        "simulated noise",
        "processes deviate by",
        "false alarms",
        "at alpha 0.05",
        "5 % slowdown found",
        "coverage",
    ]
    return table(head, rows)


def measured(frameworks: list[str], blocks: int, output: Path) -> str:
    """The table for real processes: the MLP's training step, two processes of the same code per block, resampled."""
    workers, rows = Workers(output / "logs"), []
    journal = output / "processes.jsonl"
    for framework in frameworks:
        known = workers.calibration(framework, "mlp", "train", MEASURE)
        logs = []
        for _ in range(blocks):
            running = [workers.run(framework, "mlp", "train", MEASURE, known, process) for process in "ab"]
            ended = [record.measured for _, record in run_in_turns(running)]
            turns = [by_turn(measured.values, measured.turns) for measured in ended]
            logs.append(log_ratio(*turns))
            with journal.open("a") as file:
                file.write(json.dumps({"framework": framework, "seconds": turns}) + "\n")
        rows.append(row(framework, logs))
        print(rows[-1], flush=True)
    head = ["framework", "real blocks", "log-ratios deviate by", "false alarms", "5 % slowdown found", "coverage"]
    return table(head, rows)


def row(framework: str, logs: list[float]) -> list[str]:
    """A framework's row: 200 experiments of 10 of its blocks, without and with a slowdown; 2,000 for the coverage."""
    spread = ratio(logs, COMPARE.confidence).deviation or 0.0
    alarms, _, _ = resampled(logs, COMPARE, 1.0, BLOCKS, REAL, seed=0)
    _, found, _ = resampled(logs, COMPARE, SLOWDOWN, BLOCKS, REAL, seed=1)
    _, _, held = resampled(logs, COMPARE, 1.0, BLOCKS, 10 * REAL, seed=2)
    return [framework, str(len(logs)), f"{100 * spread:.1f} %", _percent(alarms), _percent(found), _percent(held)]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def main() -> None:
    """Simulates, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frameworks", nargs="*", default=["pytorch", "tensorflow", "jax"])
    parser.add_argument("--blocks", type=int, default=20, help="real blocks per framework, two processes each")
    parser.add_argument("--output", type=Path, default=Path("results/trust"))
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    text = simulated()
    print(text, flush=True)
    put("simulated", text)
    if given.frameworks:
        text = measured(given.frameworks, given.blocks, given.output)
        print(text)
        put("measured", text)


if __name__ == "__main__":
    main()
