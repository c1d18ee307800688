"""How long trials took in earlier runs: a small file in the cache, so that a run says from its start how long it will take.

Nothing depends on it: what cannot be read or written is as if it were not there.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean

from attrs import evolve

from mlbench_core.files import replace_text
from mlbench_core.machine.cache import cache_folder
from mlbench_core.record import Record
from mlbench_core.report.figures import own_seconds
from mlbench_core.trial import Trial

VERSION = 1
LAST = 5
"""Durations that are kept of a trial; the mean of them is what the next is expected to take."""
MOST = 5_000
"""Trials that are kept; of more, those that were not run for longest are dropped."""
LARGEST_FILE = 2**21
"""Bytes; MOST trials take half of it."""


def key_of(trial: Trial) -> str:
    """The key under which a trial's duration is kept: of all that it is but its block and its seed."""
    return evolve(trial, block=0, seed=0).key


def earlier(trials: Iterable[Trial]) -> dict[Trial, float]:
    """The seconds that these trials took in earlier runs on average, of those that are known."""
    took = _read(_file())
    keys = ((trial, key_of(trial)) for trial in trials) if took else ()
    return {trial: fmean(took[key]) for trial, key in keys if key in took}


def remember(records: Iterable[Record]) -> None:
    """Keeps how long the trials took that ended well."""
    path = _file()
    took = _read(path)
    for record in records:
        if record.status == "ok" and own_seconds(record) > 0:
            key = key_of(record.trial)
            took[key] = [*took.pop(key, []), round(own_seconds(record), 3)][-LAST:]
    kept = dict(list(took.items())[-MOST:])
    with contextlib.suppress(OSError):
        replace_text(path, json.dumps({"version": VERSION, "took": kept}))


def _file() -> Path:
    return cache_folder() / "durations" / "durations.json"


def _read(path: Path) -> dict[str, list[float]]:
    """What the file holds; nothing if it is damaged, of another version, or not ours."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            return {}
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(data, Mapping) or data.get("version") != VERSION or not isinstance(data.get("took"), Mapping):
        return {}
    return {str(key): values for key, values in data["took"].items() if _is_durations(values)}


def _is_durations(values: object) -> bool:
    return (
        isinstance(values, list)
        and 0 < len(values) <= LAST
        and all(type(value) in (int, float) and math.isfinite(value) and 0 < value < 1e8 for value in values)
    )
