"""How often a number is called disturbed, on a quiet machine and beside processes that take its CPUs.

`python -m benchmarks.disturbed`, on a machine that does nothing else: 100 quiet trials and 20 disturbed ones, some minutes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.workers import Workers
from mlbench_core.record import Record
from mlbench_core.results.flags import trial_flags
from mlbench_core.runner.turns import run_in_turns
from mlbench_core.thresholds import Limits, Measure

MEASURE = Measure(warmup_seconds=0.5, steady_limit=0, min_seconds=2.0, max_seconds=10.0, queries=100)

SPIN = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"
"""Takes a CPU, for no longer than this program runs, however that ends."""


def trials(frameworks: list[str], count: int, workers: Workers) -> list[Record]:
    """At least so many training trials, the frameworks in turns as in a run."""
    found: list[Record] = []
    while len(found) < count:
        running = [
            workers.run(framework, "mlp", "train", MEASURE, None, f"-{len(found)}", takes_turns=len(frameworks) > 1)
            for framework in frameworks
        ]
        found += [record for _, record in run_in_turns(running)]
        print(f"{len(found)} of {count}", flush=True)
    return found


def disturbed(records: list[Record]) -> int:
    """How many of them carry the flag."""
    return sum(any(flag.name == "disturbed" for flag in trial_flags(record, Limits())) for record in records)


def main() -> None:
    """Prints both rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frameworks", nargs="+", default=["pytorch", "jax", "numpy"])
    parser.add_argument("--quiet", type=int, default=100)
    parser.add_argument("--disturbed", type=int, default=20)
    parser.add_argument("--output", type=Path, default=Path("results/disturbed"))
    given = parser.parse_args()
    workers = Workers(given.output / "logs")
    quiet = trials(given.frameworks, given.quiet, workers)
    shares = sorted(_share(record) for record in quiet)
    print(
        f"quiet: {disturbed(quiet)} of {len(quiet)} flagged; others took at most {100 * shares[-1]:.1f} % of the CPUs"
    )
    spinners = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in os.sched_getaffinity(0)]
    try:
        beside = trials(given.frameworks, given.disturbed, workers)
    finally:
        for process in spinners:
            process.kill()
            process.wait()
    print(f"beside a process per CPU: {disturbed(beside)} of {len(beside)} flagged")


def _share(record: Record) -> float:
    counters = record.measured.disturbance["measure"]
    return counters.get("others_cpu_s", 0.0) / (counters["wall_s"] * counters.get("cpus", 1.0))


if __name__ == "__main__":
    main()
