"""The workers of a team know each other by a token, and notice when another one is gone."""

import threading
from multiprocessing import AuthenticationError

import pytest
from attrs import evolve

from mlbench_core.trial import Team
from mlbench_core.worker.wire import gather, join, when_gone

TEAM = Team(size=3, host="127.0.0.1", token="known to all")


def test_only_who_knows_the_token_is_of_the_team() -> None:
    found, listening = [], threading.Event()
    where: list[str] = []

    def lead() -> None:
        found.extend(gather(TEAM, lambda address: (where.append(address), listening.set())))

    thread = threading.Thread(target=lead, daemon=True)
    thread.start()
    assert listening.wait(10)
    following = evolve(TEAM, leader=where[0])
    with pytest.raises((AuthenticationError, EOFError, OSError)):
        join(evolve(following, token="guessed"), 1)
    ends = [join(following, number) for number in (2, 1)]
    thread.join(10)
    assert not thread.is_alive()
    assert [address.startswith("127.0.0.1:") for _, address in found] == [True, True]
    for number, (line, _) in enumerate(found, 1):
        line.send(number)
    assert [end.recv() for end in ends] == [2, 1]
    gone = threading.Event()
    when_gone(found[0][0], gone.set)
    assert not gone.wait(0.2)
    ends[1].close()
    assert gone.wait(10)
    for line in (*(line for line, _ in found), ends[0]):
        line.close()
