"""The executor `ray`: the functions that its descriptor names, on the one cluster that this process is connected to."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import evolve
from ray.exceptions import RayActorError

from mlbench_core.errors import in_one_line
from mlbench_core.executor import Outcome, Place, Request, Running, Setting
from mlbench_core.record import Ending
from mlbench_ray.agent import TURN, Ended, Wanted
from mlbench_ray.alike import local_plugin
from mlbench_ray.cluster import Cluster, trials_per_node
from mlbench_ray.link import Link

_connected: list[Cluster] = []
"""None or one: Ray itself connects a process to one cluster at a time."""


def connect(options: Mapping[str, Any]) -> tuple[Place, ...]:
    """The nodes of the cluster at `options["address"]`, of which each is this process's until it ends or `disconnect`.

    Without an address a cluster is started on this machine, and ends with this process. trials_per_node: how many requests may
    be done at once on a node; more than 1 is for trying things. Raises ConfigError for an option that makes no sense,
    ExecutorError if the cluster cannot be reached or has no node to measure on.
    """
    address, several = str(options.get("address", "")), trials_per_node(options)
    if _connected and (_connected[0].address, _connected[0].trials_per_node) != (address, several):
        disconnect()
    if not _connected:
        _connected.append(Cluster(address, several))
    return _connected[0].look()


def disconnect() -> None:
    """Leaves the cluster; one that was started here ends."""
    while _connected:
        _connected.pop().close()


def machine() -> dict[str, Any]:
    """The facts about the first node's machine."""
    return _link("").facts


def run(request: Request, setting: Setting) -> Running[Outcome]:
    """Has a request done on the node `setting.place`, by the local executor there. Yields as that does, and where it waits."""
    started = datetime.now(UTC).isoformat(timespec="milliseconds")
    link, phase, done = _link(setting.place), "start", False
    try:
        if request.kind == "trial":
            folder = yield from link.data(request.job["data"])
            request = evolve(request, job={**request.job, "data": folder})
    except RayActorError as error:
        link.lost = link.lost or in_one_line(error)
        return _lost(link, phase, setting, started)
    except Exception as error:  # whatever a disk or Ray's own store says
        return _outcome(Ended(fault=f"the data cannot be brought there: {in_one_line(error)}"), link, setting, started)
    number = link.begin(_wanted(request, setting))
    try:
        while True:
            what = link.next(number)
            if what is None:
                came = link.listen()
                what = link.next(number)
            if what is None and link.lost:
                done = True
                return _lost(link, phase, setting, started)
            if what is None:
                yield came
            elif what == TURN:
                yield None
                link.go(number)
            elif isinstance(what, Ended):
                done = True
                return _outcome(what, link, setting, started)
            elif isinstance(what, dict):
                phase = what["name"] if what["event"] == "phase" else phase
                setting.on_event(what)
    finally:
        link.end(number, done)


def _link(place: str) -> Link:
    """The node of that name; any if it has none."""
    places = connect({}) if not _connected else ()
    links = _connected[0].links
    return links[place or (places[0].name if places else min(name for name, one in links.items() if not one.lost))]


def _wanted(request: Request, setting: Setting) -> Wanted:
    return Wanted(
        request=request,
        python=None if setting.python == sys.executable else setting.python,
        time_limit_s=setting.time_limit_s,
        phase_limit_s=setting.phase_limit_s,
        folder=str(setting.folder.absolute()),
        local=local_plugin(setting.folder),
        log=str(setting.log),
    )


def _outcome(ended: Ended, link: Link, setting: Setting, started: str) -> Outcome:
    _write(setting.log, ended.log)
    if ended.outcome is None:
        reason = f"the agent on {link.name} could not have it done: {ended.fault}"
        return Outcome(status="failed", reason=reason, machine=link.facts, place=link.name, started=started)
    if ended.last is not None:
        setting.on_event(ended.last)
    return evolve(ended.outcome, machine=link.facts, place=link.name)


def _lost(link: Link, phase: str, setting: Setting, started: str) -> Outcome:
    reason = f"the node {link.name} was lost during {phase}: {link.lost}"
    return Outcome(
        status="node-lost",
        reason=reason,
        ending=Ending(phase=phase),
        machine=link.facts,
        place=link.name,
        started=started,
    )


def _write(log: Path, text: bytes) -> None:
    """A log that cannot be written costs the log and nothing else."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(text)
    except OSError:
        pass
