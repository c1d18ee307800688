"""A team's outcome: the leader's if all is well, else what tells most of what went wrong; and nothing goes on afterwards."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from mlbench_core.executor import Outcome, Place, Request, Running, Setting
from mlbench_core.record import Ending
from mlbench_core.runner import together as module
from mlbench_core.runner.together import together
from mlbench_core.runner.turns import run_alone

TEAM = Place(
    "a", "k", address="10.0.0.1", others=(Place("b", "k", address="10.0.0.2"), Place("c", "k", address="10.0.0.3"))
)
REQUEST = Request(kind="trial", job={"trial": {"framework": "fake"}}, device="cpu", threads=1)
Part = Iterable[Future[None] | None]


class Workers:
    """An executor whose workers do as they are told by place: they wait until another place has ended, or for ever."""

    def __init__(self, **parts: Callable[["Workers"], Running[Outcome]]) -> None:
        self.parts, self.asked, self.closed = parts, dict[str, Request](), list[str]()
        self.over = {name: Future[None]() for name in parts}

    def __call__(self, request: Request, setting: Setting) -> Running[Outcome]:
        self.asked[setting.place] = request
        if request.kind == "trial":
            setting.on_event({"event": "gathering", "address": "10.0.0.1:5"})
            setting.on_event({"event": "phase", "name": "setup"})
        try:
            found = yield from self.parts[setting.place](self)
        except GeneratorExit:
            self.closed.append(setting.place)
            raise
        self.over[setting.place].set_result(None)
        return found


def ends(status: Any, reason: str = "", after: str = "", signal: str = "") -> Callable[[Workers], Running[Outcome]]:
    def part(workers: Workers) -> Running[Outcome]:
        begun: Future[None] = Future()
        begun.set_result(None)
        yield begun
        if after:
            yield workers.over[after]
        return Outcome(status=status, reason=reason, ending=Ending(signal=signal), place="x")

    return part


def waits(_workers: Workers) -> Running[Outcome]:
    yield Future()
    raise AssertionError


def run(workers: Workers, tmp_path: Path) -> tuple[Outcome, list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    setting = Setting(python="p", time_limit_s=1.0, log=tmp_path / "a.log", on_event=events.append)
    return run_alone(together(workers, REQUEST, setting, TEAM)), events


def test_the_leader_gathers_the_others(tmp_path: Path) -> None:
    workers = Workers(a=ends("ok", after="b"), b=ends("ok"), c=waits)
    found, events = run(workers, tmp_path)
    assert (found.status, found.reason) == ("ok", "")
    assert events == [{"event": "phase", "name": "setup"}]
    assert workers.closed == ["c"]
    leader, *followers = (workers.asked[name] for name in "abc")
    assert (leader.kind, leader.job["team"]["size"], leader.job["team"]["leader"]) == ("trial", 3, "")
    assert [(each.kind, each.job["framework"], each.job["number"]) for each in followers] == [
        ("follow", "fake", 1), ("follow", "fake", 2),
    ]  # fmt: skip
    assert [each.job["team"]["host"] for each in followers] == ["10.0.0.2", "10.0.0.3"]
    assert {each.job["team"]["leader"] for each in followers} == {"10.0.0.1:5"}
    assert len({each.job["team"]["token"] for each in (leader, *followers)}) == 1


@pytest.mark.parametrize(
    ("a", "b", "status", "reason"),
    [
        (ends("crashed", "lost", after="b"), ends("node-lost", "off"), "node-lost", "on b: off"),
        (ends("crashed", "lost", after="b"), ends("out-of-memory", "full"), "out-of-memory", "on b: full"),
        (ends("crashed", "kill", signal="SIGKILL"), ends("failed", "reset", after="a"), "crashed", "kill"),
        (ends("failed", "reset", after="b"), ends("crashed", "kill", signal="SIGKILL"), "crashed", "on b: kill"),
        (ends("crashed", "lost", after="b"), ends("failed", "theirs"), "failed", "on b: theirs"),
        (ends("failed", "mine"), ends("crashed", "alone", after="a"), "failed", "mine"),
        (ends("timeout", "long"), ends("crashed", "alone", after="a"), "timeout", "long"),
    ],
)
def test_what_went_wrong_is_told_by_who_knows(
    a: Any, b: Any, status: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE_S", 0.2)
    workers = Workers(a=a, b=b, c=waits)
    found, _ = run(workers, tmp_path)
    assert (found.status, found.reason, found.place) == (status, reason, "a")
    assert workers.closed == ["c"]  # after the grace, and not before


def test_one_place_is_asked_as_ever(tmp_path: Path) -> None:
    workers = Workers(a=ends("ok"))
    setting = Setting(python="p", time_limit_s=1.0, log=tmp_path / "a.log")
    assert run_alone(together(workers, REQUEST, setting, Place("a"))).status == "ok"
    assert workers.asked == {"a": REQUEST}
