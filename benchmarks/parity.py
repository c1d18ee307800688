"""docs/results/parity.md: six models up the ladder in every framework, and the accuracies that the quick configuration ends at.

`nox -s parity` runs it. Nothing is taken from the cache.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mlbench_core import Suite
from mlbench_core.config import Config
from mlbench_core.report.parity import write_text

MODELS = ("mlp", "resnet18", "resnet34", "resnet50", "bert-tiny", "bert-mini")


def main() -> None:
    """Climbs, trains, writes; exits with 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("results/parity"))
    parser.add_argument("--docs", type=Path, default=Path("docs/results"), help="folder for parity.md")
    given = parser.parse_args()
    parity = Suite(models=MODELS, output=str(given.output)).verify(
        fresh=True, on_result=lambda result: print(result.verdict, result.framework, result.model, flush=True)
    )
    results = Suite(Config.load("quick_test"), output=str(given.output)).run(overwrite=True)
    print(f"Written: {write_text(parity, results.rows, given.docs)}")
    if results.failures() or any(result.verdict != "verified" for result in parity):
        sys.exit(1)


if __name__ == "__main__":
    main()
