"""What is asked of runs on several nodes: to find what one machine finds, and no two blocks at once on one node."""

import itertools
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlbench_core import Config, Results, Suite
from mlbench_core.record import Record
from mlbench_core.runner.resume import block_of


def interval(record: Record) -> tuple[datetime, datetime]:
    begin = datetime.fromisoformat(record.started)
    return begin, begin + timedelta(seconds=record.observed.wall_s)


def at_once(results: Results) -> tuple[list[tuple[Record, Record]], int]:
    """The pairs of trials of different blocks that one node had at once; and how many pairs two nodes had at once."""
    beside, apart = [], 0
    for one, other in itertools.combinations(results.records, 2):
        (a, b), (c, d) = interval(one), interval(other)
        if a < d and c < b:
            if one.place != other.place:
                apart += 1
            elif block_of(one.trial) != block_of(other.trial):
                beside.append((one, other))
    return beside, apart


def found(results: Results) -> tuple[set[str], dict[str, str], dict[tuple[str, str, str], str]]:
    """The trials, how each ended, and what parity says."""
    return (
        {record.trial.key for record in results.records},
        {record.trial.key: record.status for record in results.records},
        {(one.framework, one.model, one.device): one.verdict for one in results.parity},
    )


def both(config: Config, nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Results, Results]:
    """What a run finds here and what it finds on the nodes; neither has the cache of the other."""
    runs = []
    for name, keys in (("local", {}), ("ray", {"executor_options": {"address": nodes.address}})):
        monkeypatch.setenv("MLBENCH_CACHE", str(tmp_path / f"cache-{name}"))
        runs.append(Suite(config, executor=name, output=str(tmp_path / name), **keys).run())
    return runs[0], runs[1]


def check(here: Results, there: Results, nodes: int) -> None:
    assert found(here) == found(there)
    assert len({record.place for record in there.records}) == nodes
    beside, apart = at_once(there)
    assert not beside
    assert apart > 0, "the nodes did their trials one after the other"
    homes: dict[Any, set[str]] = {}
    for record in there.records:
        homes.setdefault(block_of(record.trial)[1], set()).add(record.place)
    assert all(len(places) == 1 for places in homes.values()), "blocks of a group were measured on several nodes"
