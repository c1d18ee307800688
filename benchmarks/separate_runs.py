"""How often `mlbench compare` calls two really separate runs of the same code faster or slower.

`nox -s separate`: 20 pairs of runs, one after the other, some minutes a pair. Prints the rate of false alarms over all cells
and over the pairs; differences between two sittings are real, so on a busy machine it is higher than the tests' own alpha.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mlbench_core import Config, Results, Suite
from mlbench_core.compare.judge import Options, compare_runs

MEASURE = {"warmup_seconds": 0.5, "steady_limit": 0, "min_values": 15, "min_seconds": 1.0, "queries": 200}


def run(frameworks: list[str], blocks: int, output: Path) -> Results:
    """One run, or what an earlier call has left of it."""
    if (output / "benchmark_results.json").is_file():
        return Results.load(output)
    config = Config.parse({"frameworks": frameworks, "models": ["mlp"], "num_epochs": 1, "measure": MEASURE})
    return Suite(config.replace(blocks=blocks, output=str(output))).run(resume=True)


def main() -> None:
    """Prints the alarms of each pair and the rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frameworks", nargs="+", default=["numpy", "jax"])
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("results/separate"))
    given = parser.parse_args()
    cells = alarms = pairs = 0
    for number in range(given.pairs):
        base, new = (run(given.frameworks, given.blocks, given.output / f"{number:02}{side}") for side in "ab")
        judged = compare_runs([base], [new], Options()).judged
        found = [one for one in judged if one.verdict in ("faster", "slower")]
        cells, alarms, pairs = cells + len(judged), alarms + len(found), pairs + bool(found)
        told = ", ".join(f"{one.cell.name} {one.metric} {one.verdict}" for one in found) or "none"
        print(f"pair {number + 1}: {told}", flush=True)
    print(f"false alarms: {alarms} of {cells} cells ({alarms / cells:.1%}), in {pairs} of {given.pairs} pairs")


if __name__ == "__main__":
    main()
