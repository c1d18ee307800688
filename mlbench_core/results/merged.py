"""One Results made of several runs, each of other models: a matrix that was shared between machines, cards or nights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlbench_core.errors import ResultsError
from mlbench_core.results.results import Results

SHARED = ("frameworks", "models", "devices", "batch_sizes", "precision", "execution", "tasks", "nodes")
"""Keys of a configuration that say what is run: those of the runs are put together. `output` is the first's, and all others
must be the same."""


def merged(runs: Sequence[Results]) -> Results:
    """The runs as one. What is compared (frameworks, precisions, devices) is of one model, so of one run: no verdict changes.

    Raises ResultsError if two runs hold the same model, whose trials would not have stood side by side, or were configured
    otherwise than in what they ran.
    """
    if len(runs) == 1:
        return runs[0]
    _check_apart(runs)
    return Results(
        records=tuple(record for run in runs for record in run.records),
        config=_config(runs),
        machines={key: facts for run in runs for key, facts in run.machines.items()},
        interrupted=any(run.interrupted for run in runs),
        parity=tuple(result for run in runs for result in run.parity),
        # Of all runs one start, for more would say that a run was resumed.
        parts=(*runs[0].parts[:1], *(part for run in runs for part in run.parts[1:])),
    )


def _check_apart(runs: Sequence[Results]) -> None:
    seen: dict[str, int] = {}
    for number, run in enumerate(runs):
        for model in dict.fromkeys(record.trial.model for record in run.records):
            if seen.setdefault(model, number) != number:
                raise ResultsError(
                    f"two of the results hold {model}: they are runs to compare (mlbench compare), not parts of one"
                )


def _config(runs: Sequence[Results]) -> dict[str, Any]:
    first = dict(runs[0].config)
    for run in runs[1:]:
        for key in sorted({*first, *run.config} - {*SHARED, "output"}):
            if first.get(key) != run.config.get(key):
                raise ResultsError(
                    f"the results differ in {key}: {first.get(key)!r:.100} and {run.config.get(key)!r:.100}; "
                    "parts of one must be alike but for what they run"
                )
        for key in SHARED:
            mine, theirs = first.get(key) or [], run.config.get(key) or []
            first[key] = [*mine, *(each for each in theirs if each not in mine)] or first.get(key)
    return first
