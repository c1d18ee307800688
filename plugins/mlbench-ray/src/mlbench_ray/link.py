"""The driver's end of a node: it asks the agent there for work, and hands on what that tells."""

from __future__ import annotations

import itertools
from collections import deque
from concurrent.futures import Future
from functools import cache
from pathlib import Path
from typing import Any

from mlbench_core.errors import in_one_line
from mlbench_core.executor import Place, Running
from mlbench_ray.agent import Ended, Message, Order, Wanted
from mlbench_ray.files import digest_of, read

END_S = 30.0
"""Until a worker that was given up has ended, which takes seconds at most."""


class Link:
    """A node, by its agent. place: as the core knows it. lost: why the agent cannot be reached any more; empty as long as it
    can."""

    def __init__(self, place: Place, agent: Any) -> None:
        self.place, self.name, self.facts, self.lost = place, place.name, dict(place.facts), ""
        self._agent, self._numbers = agent, itertools.count()
        self._inboxes: dict[int, deque[Message]] = {}
        self._orders: list[Order] = []
        self._data: dict[str, str] = {}
        self._came: Future[None] = Future()
        self._came.set_result(None)

    def begin(self, wanted: Wanted) -> int:
        """Has a request done; returns its number."""
        number = next(self._numbers)
        self._inboxes[number] = deque()
        self._order((number, wanted))
        return number

    def go(self, number: int) -> None:
        """The request has its turn."""
        self._order((number, None))

    def data(self, folder: str) -> Running[str]:
        """Where the node has the data of a folder, which the driver brings if it has to: once for each node."""
        if folder not in self._data:
            digest = _digest(folder)
            found = yield from _answer(self._agent.data.remote(folder, digest))
            if not found:
                found = yield from _answer(self._agent.take.remote(read(Path(folder)), digest))
            self._data[folder] = found
        return self._data[folder]

    def listen(self) -> Future[None]:
        """What is done once there may be something new for anybody. Look with `next` after it was called, so that nothing that
        has come meanwhile is waited for."""
        if self._came.done() and not self.lost:
            self._came, orders, self._orders = Future(), self._orders, []
            self._agent.listen.remote(orders).future().add_done_callback(self._hear)
        return self._came

    def _order(self, order: Order) -> None:
        """Goes with the next `listen`, which is a call less for each trial; at once if one is under way."""
        if self._came.done():
            self._orders.append(order)
        else:
            self._agent.order.remote([order])

    def next(self, number: int) -> dict[str, Any] | str | Ended | None:
        """The next thing that came of a request."""
        inbox = self._inboxes[number]
        return inbox.popleft()[1] if inbox else None

    def end(self, number: int, done: bool) -> None:
        """Forgets a request; one that is not done is given up, and when this returns its worker has ended."""
        del self._inboxes[number]
        self._orders = [order for order in self._orders if order[0] != number]
        if not done and not self.lost:
            import ray

            try:
                ray.get(self._agent.end.remote(number), timeout=END_S)
            except Exception as error:  # the node is gone, and its worker with it
                self.lost = self.lost or in_one_line(error)

    def _hear(self, answer: Future[list[Message]]) -> None:
        """Called in a thread of Ray's."""
        came = self._came
        try:
            for message in answer.result():
                inbox = self._inboxes.get(message[0])
                if inbox is not None:
                    inbox.append(message)
        except Exception as error:
            self.lost = in_one_line(error)
        came.set_result(None)


@cache
def _digest(folder: str) -> str:
    """Of prepared data, which do not change while a process runs."""
    return digest_of(Path(folder))


def _answer(asked: Any) -> Running[Any]:
    """What a call of the agent's returns, once it has. Raises what it raises."""
    answer = asked.future()
    came: Future[None] = Future()
    answer.add_done_callback(lambda _done: came.set_result(None))
    yield came
    return answer.result()
