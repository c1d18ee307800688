"""How the workers of a team talk: a connection over TCP from each that follows to the one that leads.

Each end proves that it knows the team's token (HMAC, by `multiprocessing.connection`) before anything is read, for messages are
pickled: what they may name is what a request may name already.
"""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Callable
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

from mlbench_core.trial import Team

GONE = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0x2000)


def gather(team: Team, told: Callable[[str], None]) -> list[tuple[Connection, str]]:
    """Waits for all that follow, in the order of their numbers: the connection, and an address on that node. told: called with
    where they are waited for."""
    found: dict[int, tuple[Connection, str]] = {}
    with Listener((team.host, 0), "AF_INET", authkey=team.token.encode()) as listener:
        told(f"{team.host}:{listener.address[1]}")
        while len(found) < team.size - 1:
            try:
                connection = listener.accept()
                number, address = connection.recv()
            except (AuthenticationError, EOFError, OSError):
                continue  # somebody else's
            found[number] = _prompt(connection), address
    return [found[number] for number in sorted(found)]


def join(team: Team, number: int) -> Connection:
    """The connection of a worker that follows to the one that leads."""
    host, _, port = team.leader.rpartition(":")
    connection = Client((host, int(port)), "AF_INET", authkey=team.token.encode())
    connection.send((number, free_address(team.host)))
    return _prompt(connection)


def free_address(host: str) -> str:
    """ "host:port" of a port that nobody has."""
    with socket.socket() as found:
        found.bind((host, 0))
        return f"{host}:{found.getsockname()[1]}"


def when_gone(connection: Connection, call: Callable[[], Any]) -> None:
    """Calls once the other end is gone, in a thread that takes no time until then."""

    def watch() -> None:
        poll = select.poll()
        poll.register(connection.fileno(), GONE & ~(select.POLLHUP | select.POLLERR))  # the two are always told of
        poll.poll()
        call()

    threading.Thread(target=watch, daemon=True).start()


def _prompt(connection: Connection) -> Connection:
    """Small messages are not kept back until others come."""
    with socket.socket(fileno=os.dup(connection.fileno())) as same:
        same.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
