"""What stands on a node: it has requests done there by the local executor, and tells the driver what comes of them.

An `Agent` is an actor of Ray. It holds what its node measures with for as long as the run lasts, so that nobody else's tasks
are put beside a trial. Requests run in threads, which only wait for their workers.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from concurrent.futures import wait
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from attrs import evolve, frozen

from mlbench_core.errors import in_one_line
from mlbench_core.executor import Outcome, Request, Setting
from mlbench_core.executors import local
from mlbench_core.executors.events import FINAL
from mlbench_ray.alike import installed, local_plugin
from mlbench_ray.files import Files, present, take

PATIENCE_S = 10.0
"""How long `listen` waits for a first message: the driver hears at least so often that the node is there."""
GATHER_S = 0.25
"""How long more it waits for others, unless somebody waits for what there is: a call takes the driver more time than ten
messages."""


@frozen(kw_only=True)
class Ended:
    """How a request ended. last: the last event. log: what its worker printed. fault: why there is no outcome."""

    outcome: Outcome | None = None
    last: dict[str, Any] | None = None
    log: bytes = b""
    fault: str = ""


TURN = "turn"
Message = tuple[int, "dict[str, Any] | str | Ended"]
"""The number of a request, and an event of its worker, TURN, or how it ended."""


@frozen(kw_only=True)
class Wanted:
    """A request with what its node needs of the setting, see `executor.Setting`. python: None: the node's own. local: a hash of
    the driver's `mlbenchfile.py`."""

    request: Request
    python: str | None
    time_limit_s: float
    phase_limit_s: Any
    folder: str
    local: str
    log: str


Order = tuple[int, Wanted | None]
"""The number of a request, and the request; None: it has its turn again."""


class Agent:
    """Has requests done, each by its number."""

    def __init__(self) -> None:
        self._outbox: SimpleQueue[Message] = SimpleQueue()
        self._works: dict[int, _Work] = {}
        self._closed: set[int] = set()
        self._lock = threading.Lock()
        self._facts = local.machine()

    def about(self) -> tuple[dict[str, Any], dict[str, str]]:
        """The facts about this machine, from before any work; and what is installed on it, as `alike.installed` tells."""
        return self._facts, installed()

    def data(self, folder: str, digest: str) -> str:
        """Where data are on this machine, as `files.present` tells."""
        return present(Path(folder), digest)

    def take(self, files: Files, digest: str) -> str:
        """Keeps data that this machine has not; returns where."""
        return take(files, digest)

    def order(self, orders: list[Order]) -> None:
        """Begins requests, and lets others go on that have had their turn."""
        for number, wanted in orders:
            with self._lock:  # calls may be done in another order than they were made
                if number in self._closed:
                    continue
                if wanted is not None:
                    self._works[number] = _Work(number, wanted, self._outbox)
            if wanted is None:
                self._works[number].go()
            else:
                self._works[number].start()

    def end(self, number: int) -> None:
        """Gives a request up. Returns once nothing of its worker is left."""
        with self._lock:
            self._closed.add(number)
            work = self._works.get(number)
        if work is not None:
            work.give_up()

    def listen(self, orders: list[Order]) -> list[Message]:
        """Does as `order`, then returns what there is to tell, as soon as there is something; nothing after PATIENCE_S. Nobody
        but the driver calls this, and once at a time."""
        self.order(orders)
        try:
            found = [self._outbox.get(timeout=PATIENCE_S)]
        except Empty:
            return []
        end = time.monotonic() + GATHER_S
        try:
            while isinstance(found[-1][1], dict):  # anything else is waited for
                found.append(self._outbox.get(timeout=max(0.0, end - time.monotonic())))
        except Empty:
            pass
        for number, what in found:
            if isinstance(what, Ended):
                self._works.pop(number, None)
        return found


class _Work:
    """A request that is being done, in a thread of its own."""

    def __init__(self, number: int, wanted: Wanted, outbox: SimpleQueue[Message]) -> None:
        self._number, self._wanted, self._outbox = number, wanted, outbox
        self._last: dict[str, Any] | None = None
        self._turns: SimpleQueue[bool] = SimpleQueue()
        self._stop, self._stopped_by = os.pipe()
        self._over, self._lock = False, threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def go(self) -> None:
        """The worker goes on."""
        self._turns.put(True)

    def give_up(self) -> None:
        """Ends it, and waits for that."""
        with self._lock:  # a descriptor that was closed may be somebody else's by now
            if not self._over:
                os.write(self._stopped_by, b"x")
        self._turns.put(False)
        self._thread.join()

    def _run(self) -> None:
        try:
            ended = self._do()
        except BaseException as error:
            ended = Ended(fault=in_one_line(error))
        with self._lock:
            self._over = True
            os.close(self._stop)
            os.close(self._stopped_by)
        self._outbox.put((self._number, ended))

    def _do(self) -> Ended:
        wanted = self._wanted
        with tempfile.TemporaryDirectory(prefix="mlbench-", ignore_cleanup_errors=True) as scratch:
            log = Path(scratch) / "log"
            folder = Path(wanted.folder if os.path.isdir(wanted.folder) else scratch)
            if local_plugin(folder) != wanted.local:
                return Ended(
                    fault=f"{wanted.folder}/mlbenchfile.py is not there as it is here: give the nodes that folder"
                )
            setting = Setting(
                python=wanted.python or sys.executable,
                time_limit_s=wanted.time_limit_s,
                phase_limit_s=wanted.phase_limit_s,
                log=log,
                on_event=self._hear,
                folder=folder,
                stop=self._stop,
            )
            running = local.run(wanted.request, setting)
            while True:
                try:
                    pending = next(running)
                except StopIteration as end:
                    outcome = end.value
                    break
                if pending is not None:
                    wait([pending])
                    continue
                self._outbox.put((self._number, TURN))
                if not self._turns.get():
                    running.close()
                    return Ended(fault="given up")
            reason = outcome.reason.replace(str(log), wanted.log)
            text = log.read_bytes() if log.exists() else b""
            return Ended(outcome=evolve(outcome, reason=reason, log=wanted.log), last=self._last, log=text)

    def _hear(self, event: dict[str, Any]) -> None:
        if event["event"] in FINAL:  # told with the outcome, which holds most of it
            self._last = event
        else:
            self._outbox.put((self._number, event))
