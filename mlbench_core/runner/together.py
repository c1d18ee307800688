"""Has a request done by a team: a worker in each of several places, of which the first leads."""

from __future__ import annotations

import contextlib
import secrets
from concurrent.futures import Future, InvalidStateError
from typing import Any

from attrs import evolve

from mlbench_core.executor import Outcome, Place, Request, Run, Running, Setting
from mlbench_core.executors.waiting import after
from mlbench_core.serialize import to_json
from mlbench_core.trial import Following, Team

GRACE_S = 15.0
"""Once one of a team has ended as it should not, the others end by themselves within seconds, or are ended."""
ENDLESS_S = 1e8
"""The time limit of who follows: the leader has the trial's, and those that follow end with it."""


def together(run: Run, request: Request, setting: Setting, place: Place) -> Running[Outcome]:
    """What came of a request in a place, and in those that it shares batches with. Nothing of any worker is left.

    The leader's outcome, if all is well; else that of the worker that tells most of what went wrong, and on which node.
    """
    setting = evolve(setting, place=place.name)
    if not place.others:
        return (yield from run(request, setting))
    team = Team(size=1 + len(place.others), host=place.address, token=secrets.token_hex(32))
    where = ""

    def hear(event: dict[str, Any]) -> None:
        nonlocal where
        if event["event"] == "gathering":
            where = event["address"]
        else:
            setting.on_event(event)

    leading = evolve(request, job={**request.job, "team": to_json(team)})
    running = {0: run(leading, evolve(setting, on_event=hear))}
    waiting: dict[int, Future[None]] = {}
    ended: dict[int, Outcome] = {}
    patience: Future[None] | None = None
    try:
        while running:
            for number in [each for each in running if each not in waiting or waiting[each].done()]:
                waiting.pop(number, None)
                try:
                    item = next(running[number])
                except StopIteration as end:
                    del running[number]
                    ended[number] = end.value
                    continue
                if item is None:
                    yield None
                else:
                    waiting[number] = item
            if where and len(running) + len(ended) == 1 and 0 in running:
                for number, other in enumerate(place.others, 1):
                    mine = evolve(team, host=other.address, leader=where)
                    running[number] = run(_follow(request, mine, number), _of_follower(setting, other, number))
                continue
            if 0 in ended and ended[0].status == "ok":
                return ended[0]
            if ended and patience is None:
                patience = after(GRACE_S)
            if patience is not None and patience.done():
                break
            if running and all(number in waiting for number in running):
                yield _first([*waiting.values(), *([patience] if patience else [])])
    finally:
        for one in running.values():
            one.close()
    number, found = min(ended.items(), key=lambda item: _tells(item[1]))  # of alike ones, who ended first
    reason = found.reason if number == 0 else f"on {place.others[number - 1].name}: {found.reason}"
    return evolve(ended.get(0, found), status=found.status, reason=reason, ending=found.ending, place=place.name)


def _tells(outcome: Outcome) -> int:
    """How little an ending says of what went wrong: where one worker is lost, the others fail or end themselves."""
    if outcome.status == "crashed":
        return 2 if outcome.ending.signal else 5
    return {"node-lost": 0, "out-of-memory": 1, "timeout": 3}.get(outcome.status, 4)


def _follow(request: Request, team: Team, number: int) -> Request:
    framework = request.job.get("framework") or request.job["trial"]["framework"]
    return evolve(request, kind="follow", job=to_json(Following(framework=framework, number=number, team=team)))


def _of_follower(setting: Setting, place: Place, number: int) -> Setting:
    return evolve(
        setting,
        place=place.name,
        log=setting.log.with_name(f"{setting.log.stem}-node{number}{setting.log.suffix}"),
        on_event=lambda _event: None,
        time_limit_s=ENDLESS_S,
        phase_limit_s=None,
    )


def _first(several: list[Future[None]]) -> Future[None]:
    """Done once any of them is."""
    found: Future[None] = Future()

    def done(_one: Future[None]) -> None:
        with contextlib.suppress(InvalidStateError):  # another one was as quick
            found.set_result(None)

    for one in several:
        one.add_done_callback(done)
    return found
