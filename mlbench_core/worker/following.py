"""A worker that follows: it does on its node what the leader of its team does, see `leading`, until that is gone."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from mlbench_core.architecture import Architecture, Weights
from mlbench_core.hookspecs import Batch
from mlbench_core.plugins import Framework, build_model, load_framework
from mlbench_core.record import MemoryReading
from mlbench_core.trial import Following, ModelSource, Plan
from mlbench_core.worker.entering import apply_environment
from mlbench_core.worker.wire import join, when_gone

GRACE_S = 5.0
"""Once the leader is gone, what is waited for with the others never comes: so long a worker has to leave by itself."""


def follow(job: Following) -> None:
    """The life of such a worker. Raises what its framework raises: without this node the others cannot go on."""
    line = join(job.team, job.number)
    when_gone(line, _leave)
    follower = Follower(load_framework(job.framework))
    while True:
        try:
            name, *values = line.recv()
        except (EOFError, OSError):
            return
        answer = getattr(follower, name)(*values)
        if answer is not None:
            line.send(answer)


def _leave() -> None:
    time.sleep(GRACE_S)
    os._exit(1)


class Follower:
    """Each method is a message; one that returns something is answered."""

    def __init__(self, framework: Framework) -> None:
        self._framework = framework
        self._sessions: dict[int, Any] = {}
        self._shares: dict[int, dict[int, Any]] = {}
        self._last: dict[int, Any] = {}

    def environment(self, plan: Plan) -> None:
        """Before the framework is imported."""
        apply_environment(self._framework, plan)

    def info(self) -> None:
        """Some frameworks find each other before they know of any device."""
        self._framework.framework_info()

    def make(self, number: int, source: ModelSource, architecture: Architecture, weights: Weights, plan: Plan) -> None:
        """Its part of a session."""
        model = build_model(self._framework, source, architecture, plan)
        self._sessions[number], self._shares[number] = self._framework.make_session(model, weights, plan), {}

    def place(self, number: int, batch: int, share: Batch) -> None:
        """Takes its share of a batch."""
        self._shares[number][batch] = self._last[number] = self._framework.place_batch(self._sessions[number], share)

    def drop(self, number: int, batch: int) -> None:
        """Forgets a share; of a session that was closed there is none."""
        self._shares.get(number, {}).pop(batch, None)

    def step(self, number: int, batch: int) -> None:
        """Its part of a training step."""
        self._last[number] = self._framework.train_step(self._sessions[number], self._shares[number][batch])

    def wait(self, number: int) -> bool:
        """Waits for its devices."""
        return self._framework.synchronize(self._sessions[number], self._last.get(number))

    def memory(self, number: int) -> list[MemoryReading]:
        """Its devices' counters."""
        return self._framework.memory_probe(self._sessions[number])

    def load(self, number: int, name: str, files: dict[str, bytes]) -> None:
        """Goes on from what the leader has saved."""
        with tempfile.TemporaryDirectory() as folder:
            for path, content in files.items():
                Path(folder, path).parent.mkdir(parents=True, exist_ok=True)
                Path(folder, path).write_bytes(content)
            self._sessions[number] = self._framework.load(self._sessions[number], Path(folder, name))

    def close(self, number: int) -> None:
        """Frees its part of a session."""
        self._shares.pop(number)
        self._last.pop(number, None)
        self._framework.close_session(self._sessions.pop(number))
