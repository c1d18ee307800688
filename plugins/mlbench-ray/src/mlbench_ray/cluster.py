"""A Ray cluster: one that is there, or one of this machine alone for the run; and the nodes of it that measure."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import ray
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from mlbench_core.errors import ConfigError, ExecutorError
from mlbench_core.executor import Place
from mlbench_ray.agent import Agent
from mlbench_ray.alike import differences, installed, listed
from mlbench_ray.link import Link

RESOURCE = "mlbench"
"""What a node has that measures: `ray start --resources '{"mlbench": 1}'`."""
TOGETHER_S = 20.0
"""For all nodes at once. Where some are still taken then, those that are left are taken one by one."""
START_S = 120.0
"""For agents to be started: a process each, that imports the core."""
LOCAL = {"resources": {RESOURCE: 1}, "object_store_memory": 100 * 2**20, "include_dashboard": False}
"""A cluster of this machine alone. The bytes are of its object store: what goes through it are records."""


class Cluster:
    """The nodes that measure, each with an agent that has it to itself until `close`."""

    def __init__(self, address: str, trials_per_node: int) -> None:
        self.address, self.trials_per_node = address, trials_per_node
        self.links: dict[str, Link] = {}
        self._bundles: dict[str, PlacementGroupSchedulingStrategy] = {}
        self._ours = not ray.is_initialized()
        if self._ours:
            _initialise(address)

    def look(self) -> tuple[Place, ...]:
        """The places that there are now; nodes that came get their agents. Raises ExecutorError if there is none."""
        nodes = {
            name: node
            for node in ray.nodes()  # type: ignore[no-untyped-call]
            if node["Alive"] and node["Resources"].get(RESOURCE, 0) > 0
            for name in self._names(node)
            if name not in self.links
        }
        self._reserve({node["NodeID"]: node["Resources"] for node in nodes.values()})
        begun = {name: self._agent(node) for name, node in nodes.items()}
        asked = {agent.about.remote(): (name, agent) for name, agent in begun.items()}
        ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=START_S) if asked else ([], [])
        differing, here = [], installed()
        for answer in ready:
            name, agent = asked[answer]
            try:
                facts, there = ray.get(answer)
            except ray.exceptions.RayError as error:
                warnings.warn(f"the node {name} is left out: {_said(error)}", stacklevel=2)
                continue
            if lines := differences(here, there):
                differing.append(f"{name}: {listed(lines)}")
            labels = nodes[name].get("Labels") or {}
            place = Place(
                name,
                kind_of(facts, labels),
                nodes[name]["NodeID"],
                labels=labels,
                facts=facts,
                address=nodes[name]["NodeManagerAddress"],
            )
            self.links[name] = Link(place, agent)
        if differing:
            self._give_back()
            raise ExecutorError(f"install the same on every machine of a run: {' | '.join(differing)}")
        places = tuple(link.place for _, link in sorted(self.links.items()) if not link.lost)
        if not places:
            raise ExecutorError(_nothing(len(begun)))
        return places

    def close(self) -> None:
        """Gives the nodes back, and ends a cluster of our own."""
        self._give_back()
        if self._ours:
            ray.shutdown()

    def _give_back(self) -> None:
        self.links.clear()
        for group in {bundle.placement_group for bundle in self._bundles.values()}:
            remove_placement_group(group)
        self._bundles.clear()

    def _reserve(self, nodes: Mapping[str, Mapping[str, float]]) -> None:
        """Has Ray reserve all that these nodes have, by their ids, together or not at all: of two runs that begin at once, each
        could have some, wait for those of the other, and end with too few for a team."""
        new = [node for node in nodes if node not in self._bundles]
        if len(new) < 2:
            return
        group = placement_group(
            [{name: nodes[node][name] for name in ("CPU", "GPU", RESOURCE) if nodes[node].get(name)} for node in new],
            strategy="STRICT_SPREAD",
            bundle_label_selector=[{"ray.io/node-id": node} for node in new],
        )
        if group.wait(TOGETHER_S):
            self._bundles |= {node: PlacementGroupSchedulingStrategy(group, number) for number, node in enumerate(new)}
        else:
            remove_placement_group(group)

    def _names(self, node: Mapping[str, Any]) -> Iterator[str]:
        name = f"{node['NodeManagerHostname']}-{node['NodeID'][:8]}"
        several = self.trials_per_node > 1
        yield from (f"{name}.{number}" if several else name for number in range(self.trials_per_node))

    def _agent(self, node: Mapping[str, Any]) -> Any:
        """An agent that takes its share of all that the node has."""
        has, share = node["Resources"], 1 / self.trials_per_node
        alone = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        return (
            ray.remote(Agent)
            .options(
                num_cpus=has.get("CPU", 0) * share,
                num_gpus=has.get("GPU", 0) * share,
                resources={RESOURCE: has[RESOURCE] * share},
                max_concurrency=8,
                max_restarts=0,
                scheduling_strategy=self._bundles.get(node["NodeID"], alone),
            )
            .remote()
        )


def kind_of(facts: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """What nodes are called that are alike: their processor, their GPUs, and their labels but for those of Ray itself."""
    cards = Counter(gpu["name"] for gpu in facts["gpus"])
    own = [f"{name}={value}" for name, value in sorted(labels.items()) if not name.startswith("ray.io/")]
    return ", ".join(
        [f"{facts['cpu_count']} x {facts['cpu']}", *(f"{count} x {name}" for name, count in cards.items()), *own]
    )


def trials_per_node(options: Mapping[str, Any]) -> int:
    """The option of that name. Raises ConfigError if it is no whole number of at least 1."""
    value = options.get("trials_per_node", 1)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(
            f"executor_options: trials_per_node: {value!r} is not a whole number of at least 1; 1 measures best"
        )
    return value


def _nothing(begun: int) -> str:
    if begun:
        return f"{begun} nodes of the Ray cluster are taken: wait until the run that has them has ended"
    return (
        f"no node of the Ray cluster has the resource {RESOURCE!r}: start those that are to measure with "
        f"ray start --resources='{{\"{RESOURCE}\": 1}}'"
    )


def _initialise(address: str) -> None:
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    local: dict[str, Any] = {} if address else LOCAL
    try:
        with _signals_kept():
            ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **local)
    except Exception as error:  # Ray raises whatever it likes
        where = (
            f"the Ray cluster at {address!r} cannot be reached" if address else "no local Ray cluster can be started"
        )
        raise ExecutorError(f"{where}: {_said(error)}") from None


def _said(error: Exception) -> str:
    """Ray's messages have many lines, of which any may be the one that says something; with a traceback, the last."""
    text = " ".join(str(error).split())
    return text if len(text) <= 400 else f"{text[:150]} ... {text[-250:]}"


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself, and it is the core's."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)
