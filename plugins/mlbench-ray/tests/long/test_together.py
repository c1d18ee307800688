"""A run has the nodes that it measures on together or not at all, and those that are left where others stay taken."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import ray
from ray.util.placement_group import placement_group_table
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mlbench_ray import cluster
from mlbench_ray.executor import connect, disconnect

PATIENCE_S = 60.0


class Somebody:
    """Who has a node's only CPU for as long as the actor lives."""

    def there(self) -> bool:
        return True


def taken(node: Any, within_s: float = PATIENCE_S) -> Any:
    """Raises GetTimeoutError if the node is not free by then."""
    there = NodeAffinitySchedulingStrategy(node.node_id, soft=False)
    actor = ray.remote(Somebody).options(num_cpus=1, scheduling_strategy=there).remote()
    assert ray.get(actor.there.remote(), timeout=within_s)
    return actor


@pytest.fixture
def connected(three_nodes: Any) -> Iterator[Any]:
    """Nodes of a cluster that this process is connected to without the executor."""
    ray.init(three_nodes.address, log_to_driver=False)
    yield three_nodes
    disconnect()
    ray.shutdown()


def states() -> list[str]:
    return [group["state"] for group in placement_group_table().values()]


def test_a_run_that_waits_for_a_node_keeps_none_from_others(connected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs that begin at once would else have some nodes each, and both wait for those of the other one."""
    monkeypatch.setattr(cluster, "TOGETHER_S", PATIENCE_S)
    monkeypatch.setattr(cluster, "START_S", PATIENCE_S / 2)
    first, *others = connected.nodes
    holding = [taken(first)]
    with ThreadPoolExecutor() as pool:
        run = pool.submit(connect, {"address": connected.address})
        while not states():
            assert not run.done()
        holding += [taken(node, PATIENCE_S / 2) for node in others]
        holding.clear()
        places = run.result(PATIENCE_S)
    assert {place.node for place in places} == {node.node_id for node in connected.nodes}
    assert states() == ["CREATED"]
    with pytest.raises(ray.exceptions.GetTimeoutError):
        taken(first, 5)
    disconnect()
    for node in connected.nodes:
        taken(node)


def test_a_run_takes_the_nodes_that_are_left(connected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "TOGETHER_S", 1)
    monkeypatch.setattr(cluster, "START_S", 15)
    first, *others = connected.nodes
    holding = taken(first)
    places = connect({"address": connected.address})
    assert {place.node for place in places} == {node.node_id for node in others}
    del holding
