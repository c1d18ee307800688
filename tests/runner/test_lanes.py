"""Blocks in several places: each has one at a time, groups stay where they began, a lost place costs nothing finished."""

import pytest
from attrs import evolve
from placed import TRIAL, Executor

from mlbench_core.errors import ExecutorError
from mlbench_core.executor import Place
from mlbench_core.record import Record
from mlbench_core.runner.lanes import Block, Lanes

A, B = Place("a"), Place("b")


def blocks(groups: int, count: int) -> list[Block]:
    """Two arms per block."""
    return [
        [evolve(TRIAL, framework=name, batch_size=group + 1, block=block) for name in ("numpy", "fake")]
        for block in range(count)
        for group in range(groups)
    ]


def run(lanes: Lanes, executor: Executor, wanted: list[Block]) -> list[Record]:
    return list(lanes.run(wanted, executor.start))


def test_one_place_does_all_in_order() -> None:
    executor, wanted = Executor(), blocks(3, 2)
    found = run(Lanes([Place()], lambda: (Place(),)), executor, wanted)
    assert [record.trial for record in found] == [trial for block in wanted for trial in block]


def test_two_places_share_the_groups_and_each_group_stays() -> None:
    executor, wanted = Executor(), blocks(4, 3)
    found = run(Lanes([A, B], lambda: (A, B)), executor, wanted)
    assert {record.trial for record in found} == {trial for block in wanted for trial in block}
    homes = {group: {place for one, _, place in executor.begun if one == group} for group in range(1, 5)}
    assert all(len(places) == 1 for places in homes.values())
    assert {place for places in homes.values() for place in places} == {"a", "b"}
    assert [block for _, block, place in executor.begun if place == "a"] == [0, 0, 1, 1, 2, 2]


def test_what_another_thread_ends_is_waited_for() -> None:
    executor = Executor()
    executor.threads = True
    found = run(Lanes([A, B], lambda: (A, B)), executor, blocks(4, 3))
    assert len({record.trial for record in found}) == len(found) == 24


def test_a_later_call_knows_where_groups_are_at_home() -> None:
    executor, lanes = Executor(), Lanes([A, B], lambda: (A, B))
    wanted = blocks(2, 2)
    run(lanes, executor, wanted[:2])
    run(lanes, executor, wanted[2:])
    assert executor.begun == [(1, 0, "a"), (2, 0, "b"), (1, 1, "a"), (2, 1, "b")]


def test_a_lost_place_is_used_no_more_and_its_block_runs_again_as_a_whole() -> None:
    executor = Executor(lambda block, place: place == A and block[0].block == 1)
    again: list[Block] = []
    found = run(Lanes([A, B], lambda: (B,), 1, again.append), executor, blocks(2, 3))
    assert [(block[0].batch_size, block[0].block) for block in again] == [(1, 1)]
    assert executor.begun[:3] == [(1, 0, "a"), (2, 0, "b"), (1, 1, "a")]
    assert all(place == "b" for _, _, place in executor.begun[3:])
    latest = {record.trial: record.status for record in found}
    assert latest == {trial: "ok" for block in blocks(2, 3) for trial in block}
    assert sum(record.status == "node-lost" for record in found) == 2


def test_without_retries_what_was_lost_is_told_and_the_rest_goes_on() -> None:
    executor = Executor(lambda block, place: place == A)
    again: list[Block] = []
    found = run(Lanes([A, B], lambda: (B,), 0, again.append), executor, blocks(2, 2))
    assert not again
    assert [record.trial.batch_size for record in found if record.status == "node-lost"] == [1, 1]
    assert sum(record.status == "ok" for record in found) == 6


def test_nodes_that_come_later_take_over_and_without_any_it_says_so() -> None:
    new = Place("new")
    found = run(Lanes([A], lambda: (A, new), retries=1), Executor(lambda _block, place: place == A), blocks(1, 2))
    assert [record.place for record in found] == ["a", "a", "new", "new", "new", "new"]
    with pytest.raises(ExecutorError, match="lost every node"):
        run(Lanes([A], lambda: (A,)), Executor(lambda _block, place: True), blocks(2, 1))


def test_whoever_stops_asking_has_all_that_runs_closed() -> None:
    executor = Executor()
    records = Lanes([A, B], lambda: (A, B)).run(blocks(2, 1), executor.start)
    next(records)
    records.close()  # type: ignore[attr-defined]
    assert sorted(executor.closed) == ["a", "b"]
    assert not executor.busy
