"""What a person names on the command line: runs to load, and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mlbench_core.compare.judge import DEFAULT
from mlbench_core.compare.kept import Taken, load_taken
from mlbench_core.errors import ConfigError, ResultsError, unknown
from mlbench_core.results.compared import ENERGY, FIRST_STEP, LATENCY, MEMORY, SERVING, TAIL, TIME_TO, TRAINING, Metric
from mlbench_core.results.storage import NAME

METRICS = {
    "train": TRAINING, "latency": LATENCY, "first-step": FIRST_STEP, "memory": MEMORY, "energy": ENERGY, "p99": TAIL,
    "infer": SERVING, "time-to": TIME_TO,
}  # fmt: skip
"""The metrics by the names that people type."""


def metrics_named(names: Sequence[str] | None) -> tuple[Metric, ...]:
    """The metrics of these names; the default ones for None. Raises ConfigError for one that nobody knows."""
    if names is None:
        return DEFAULT
    for name in names:
        if name not in METRICS:
            raise ConfigError("--metrics: " + unknown("metric", name, METRICS))
    return tuple(METRICS[name] for name in dict.fromkeys(names))


def load_side(path: Path, metrics: Sequence[Metric]) -> list[Taken]:
    """What a comparison by the metrics takes of the run in a file or in its folder, or of each run in the folders inside.

    Raises ResultsError.
    """
    if path.is_dir() and not (path / NAME).is_file():
        inside = sorted(folder for folder in path.iterdir() if (folder / NAME).is_file())
        if not inside:
            raise ResultsError(
                f"{path} holds no {NAME}, nor does a folder in it: give a results file, or the folder of a run"
            )
        return [load_taken(folder, metrics) for folder in inside]
    return [load_taken(path, metrics)]
