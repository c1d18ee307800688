"""`nox -s fuzz`: at least 100,000 damaged files through every loader, at random, by Hypothesis and guided by coverage.

Prints a line per loader and part, each file at fault, and the count; the status is 1 if there was one. `--cases N` for fewer.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import random
import re
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "helpers"))

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mutate import mutated
from targets import Target, fault, targets

SHARES = {"at random": 0.4, "by Hypothesis": 0.2, "guided by atheris": 0.4}
"""Of all cases."""


class Campaign:
    """Counts what was tried and keeps what was at fault."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.tried, self.faults = folder, 0, 0

    def once(self, target: Target, content: bytes) -> None:
        """One file."""
        self.tried += 1
        wrong = fault(target, content, self.folder / target.file)
        if wrong:
            self.faults += 1
            path = self.folder / f"fault-{target.name}-{hashlib.sha256(content).hexdigest()[:12]}"
            path.write_bytes(content)
            print(f"FAULT {path}: {wrong}", flush=True)

    def at_random(self, target: Target, cases: int) -> None:
        """Seeds damaged with pseudo-random numbers, the same in each campaign."""
        rng = random.Random(19)
        for _ in range(cases):
            self.once(target, mutated(rng.choice(target.seeds), rng))

    def by_hypothesis(self, target: Target, cases: int) -> None:
        """The same with numbers that Hypothesis draws, which vary from one campaign to the next."""

        @settings(
            max_examples=cases, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
        )  # fmt: skip
        @given(seed=st.sampled_from(target.seeds), rng=st.randoms(use_true_random=False))
        def run(seed: bytes, rng: random.Random) -> None:
            self.once(target, mutated(seed, rng))

        run()

    def guided(self, target: Target, cases: int) -> None:
        """By coverage, in a process of its own, which ends at the first fault."""
        code = [sys.executable, str(Path(__file__).with_name("guided.py")), target.name, str(cases), str(self.folder)]
        done = subprocess.run(code, capture_output=True, text=True, check=False)
        for slow in sorted(self.folder.glob(f"slow-{target.name}-*")):
            self.once(target, slow.read_bytes())
        counted = re.search(r"number_of_executed_units: *([0-9]+)", done.stderr)
        self.tried += int(counted[1]) if counted else 0
        if done.returncode:
            self.faults += 1
            print(f"FAULT in {target.name}, guided:\n{done.stdout[-3000:]}{done.stderr[-3000:]}", flush=True)


def main() -> int:
    """The status: 1 if any file was at fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, default=Path("results/fuzz"))
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    campaign, known = Campaign(given.folder.resolve()), targets(given.folder)
    parts = {"at random": campaign.at_random, "by Hypothesis": campaign.by_hypothesis}
    if importlib.util.find_spec("atheris"):
        parts["guided by atheris"] = campaign.guided
    else:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        print(f"atheris is not installed (it has no wheel for Python {version} here): its share is damaged at random")
    whole = sum(SHARES[part] for part in parts)
    for target in known:
        for part, run in parts.items():
            before, start = campaign.tried, time.monotonic()
            run(target, -int(-given.cases * SHARES[part] / whole // len(known)))
            took = time.monotonic() - start
            print(f"{target.name}, {part}: {campaign.tried - before:,} files in {took:.0f} s", flush=True)
    print(f"{campaign.tried:,} damaged files: {campaign.faults} at fault, all others load or are one line")
    return int(campaign.faults > 0)


if __name__ == "__main__":
    sys.exit(main())
