"""What the harness adds: to a step that does nothing, and to a trial beyond what its worker does. Printed by `nox -s bench`."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.tables import put, table
from mlbench_core import Suite
from mlbench_core.record import Record
from mlbench_core.worker.timing import Loop

STEPS, ROUNDS = 100_000, 15


def null_step() -> float:
    """Seconds that the harness adds to a step that does nothing, over the same calls in a plain loop; interleaved rounds."""

    def step(session: object, batch: object) -> object:
        return batch

    def synchronize(session: object, value: object) -> bool:
        return True

    batch = object()
    loop = Loop(step=step, synchronize=synchronize, session=None, batches=[batch] * 8)
    added = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(STEPS):
            handle = step(None, batch)
        synchronize(None, handle)
        plain = time.perf_counter() - start
        added.append((loop.run(STEPS) - plain) / STEPS)
    return median(added)


def per_trial(records: tuple[Record, ...]) -> list[float]:
    """Seconds of each trial's wall time that are not its worker's own: starting it, following it, ending it."""
    return [r.observed.wall_s - sum(r.measured.phases.values()) for r in records]


def run_overhead() -> tuple[list[float], float, int]:
    """(per_trial, seconds of a whole run beyond all its workers' own, number of trials), for the NumPy reference."""
    measure = {"warmup_seconds": 0.1, "min_seconds": 0.2, "min_values": 3, "steady_limit": 0, "queries": 20}
    with tempfile.TemporaryDirectory() as folder:
        suite = Suite(
            frameworks=["numpy"], models=["mlp"], num_epochs=1, blocks=8, output=str(Path(folder)), measure=measure
        )
        start = time.perf_counter()
        results = suite.run(verify=False)
        wall = time.perf_counter() - start
    own = sum(sum(r.measured.phases.values()) for r in results.records)
    return per_trial(results.records), wall - own, len(results.records)


def main() -> None:
    """Measures and prints."""
    added = null_step()
    trials, beyond, count = run_overhead()
    rows = [
        ["a step that does nothing, over a direct call", f"{1e6 * added:.3f} us", "1 us"],
        ["a trial, beyond its worker's import and phases (median)", f"{1e3 * median(trials):.0f} ms", "150 ms"],
        ["the same (worst)", f"{1e3 * max(trials):.0f} ms", ""],
        [f"a run of {count} trials, per trial, data and reports included", f"{1e3 * beyond / count:.0f} ms", ""],
    ]
    text = table(["what the harness adds to", "measured", "allowed"], rows)
    print(text)
    put("overhead", text)


if __name__ == "__main__":
    main()
