"""A framework that leads: each of its hooks is done on this node and, by the workers that follow, on all others.

The leader is a worker as any other. What a trial or the ladder asks of its framework, the others are told and do alike, in the
same order, each with its share of every batch; how gradients come together is the framework's own. Steps are told of without
waiting for an answer, so all nodes are at work at once; `synchronize` waits for all, so that the slowest one's time is the
step's. What is no training (predictions, gradients of the ladder) the leader does by itself, in a session of one device.
"""

from __future__ import annotations

import itertools
import os
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import define, evolve, frozen

from mlbench_core.architecture import Architecture, Weights
from mlbench_core.devices import one_of
from mlbench_core.errors import UnsupportedError
from mlbench_core.hookspecs import Batch, FrameworkInfo, Gradients
from mlbench_core.plugins import OPTIONAL_HOOKS, Framework, build_model
from mlbench_core.record import MemoryReading
from mlbench_core.trial import ModelSource, Plan, Team
from mlbench_core.worker.wire import free_address, gather, when_gone

LOST = 70
"""The worker's exit status when one that follows has ended before it did (EX_SOFTWARE)."""


@define(eq=False)
class Held:
    """A session on all nodes. native: this node's part. alone: one on this node by itself, with the weights that the session
    had when it was made; None: they have changed since."""

    number: int
    native: Any
    source: ModelSource
    architecture: Architecture
    plan: Plan
    alone: Any = None


@frozen(eq=False)
class Shared:
    """A placed batch. native: this node's share. whole: on the host. number: the others' name for theirs."""

    native: Any
    whole: Batch
    number: int


@frozen(eq=False)
class Alone:
    """A handle of a session on this node by itself."""

    session: Any
    native: Any


class Leading(Framework):
    """`framework`, with hooks that the others follow. device: of each node."""

    def __init__(self, framework: Framework, team: Team, device: str, emit: Callable[..., None]) -> None:
        self.__dict__.update(framework.__dict__)
        self._own, self._device, self.num_nodes = framework, device, team.size
        found = gather(team, lambda address: emit("gathering", address=address))
        self._lines = [line for line, _ in found]
        self._members = (free_address(team.host), *(address for _, address in found))
        for number, line in enumerate(self._lines, 1):
            when_gone(line, lambda number=number: _give_up(number))  # type: ignore[misc]
        self._numbers, self._gone = itertools.count(), list[tuple[int, int]]()
        self._built: tuple[ModelSource, Architecture] | None = None
        self.hooks = framework.hooks - {"inference_mode"}
        for name in ("framework_info", "make_session", "place_batch", "train_step", "infer", "synchronize", "to_numpy",
                     "read_weights", "save", "load", "close_session", *(OPTIONAL_HOOKS & self.hooks)):  # fmt: skip
            setattr(self, name, getattr(self, f"_{name}"))
        self.on_build = self._note

    def _tell(self, *message: Any) -> None:
        for line in self._lines:
            line.send(message)

    def _answers(self) -> list[Any]:
        return [line.recv() for line in self._lines]

    def _plan(self, plan: Plan, node: int = 0) -> Plan:
        return evolve(plan, members=self._members, node=node)

    def _note(self, _model: Any, source: ModelSource, architecture: Architecture) -> None:
        self._built = source, architecture

    def _worker_environment(self, plan: Plan) -> dict[str, str]:
        for node, line in enumerate(self._lines, 1):
            line.send(("environment", self._plan(plan, node)))
        return self._own.worker_environment(self._plan(plan))

    def _framework_info(self) -> FrameworkInfo:
        self._tell("info")
        info = self._own.framework_info()
        if refusal := info.nodes_refusal(self._device):
            raise UnsupportedError(refusal)
        return info

    def _make_session(self, model: Any, weights: Weights, plan: Plan) -> Held:
        assert self._built is not None, "no model was built"
        source, architecture = self._built
        number = next(self._numbers)
        for node, line in enumerate(self._lines, 1):
            line.send(("make", number, source, architecture, weights, self._plan(plan, node)))
        native = self._own.make_session(model, weights, self._plan(plan))
        return Held(number, native, source, architecture, plan)

    def _place_batch(self, held: Held, batch: Batch) -> Shared:
        while self._gone:
            self._tell("drop", *self._gone.pop())
        number, size = next(self._numbers), self.num_nodes
        if len(batch.y) % size:
            raise UnsupportedError(f"{len(batch.y)} samples cannot be shared equally by {size} nodes")
        mine, *others = map(Batch, np.split(batch.x, size), np.split(batch.y, size))
        for line, share in zip(self._lines, others, strict=True):
            line.send(("place", held.number, number, share))
        shared = Shared(self._own.place_batch(held.native, mine), batch, number)
        weakref.finalize(shared, self._gone.append, (held.number, number)).atexit = False
        return shared

    def _train_step(self, held: Held, batch: Shared) -> Any:
        self._tell("step", held.number, batch.number)
        if held.alone is not None:
            self._forget(held)
        return self._own.train_step(held.native, batch.native)

    def _infer(self, held: Held, batch: Shared) -> Alone:
        session = self._alone(held)
        return Alone(session, self._own.infer(session, self._own.place_batch(session, batch.whole)))

    def _synchronize(self, held: Held, value: Any) -> bool:
        if isinstance(value, Alone):
            return self._own.synchronize(value.session, value.native)
        self._tell("wait", held.number)
        self._own.synchronize(held.native, value.native if isinstance(value, Shared) else value)
        return all(self._answers())

    def _to_numpy(self, held: Held, value: Any) -> npt.NDArray[Any]:
        if isinstance(value, Alone):
            return self._own.to_numpy(value.session, value.native)
        return self._own.to_numpy(held.native, value)

    def _gradients(self, held: Held, batch: Shared, cotangent: npt.NDArray[Any] | None) -> Gradients:
        session = self._alone(held)
        return self._own.gradients(session, self._own.place_batch(session, batch.whole), cotangent)

    def _read_weights(self, held: Held) -> Weights:
        return self._own.read_weights(held.native)

    def _memory_probe(self, held: Held) -> list[MemoryReading]:
        """Of all nodes, added up."""
        self._tell("memory", held.number)
        found = [self._own.memory_probe(held.native), *self._answers()]
        return [
            MemoryReading(one.name, sum(each.bytes for node in found for each in node if each.name == one.name))
            for one in found[0]
        ]

    def _read_knobs(self, held: Held) -> dict[str, str]:
        return {**self._own.read_knobs(held.native), "nodes": str(self.num_nodes)}

    def _compilations(self, held: Held) -> int:
        return self._own.compilations(held.native)

    def _save(self, held: Held, path: Path) -> Path:
        return self._own.save(held.native, path)

    def _load(self, held: Held, path: Path) -> Held:
        files = {str(file.relative_to(path.parent)): file.read_bytes() for file in _files(path)}
        self._tell("load", held.number, path.name, files)
        self._forget(held)
        held.native = self._own.load(held.native, path)
        return held

    def _close_session(self, held: Held) -> bool:
        self._tell("close", held.number)
        self._forget(held)
        return self._own.close_session(held.native)

    def _alone(self, held: Held) -> Any:
        """The session on one device of this node, with the weights as they are."""
        if held.alone is None:
            plan = evolve(held.plan, device=one_of(held.plan.device))
            model = build_model(self._own, held.source, held.architecture, plan)
            held.alone = self._own.make_session(model, self._own.read_weights(held.native), plan)
        return held.alone

    def _forget(self, held: Held) -> None:
        if held.alone is not None:
            self._own.close_session(held.alone)
            held.alone = None


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]


def _give_up(number: int) -> None:
    """Without one of them the others would wait for it for ever, so the worker ends with it."""
    sys.stderr.write(f"the worker on node {number} ended before it was told to\n")
    sys.stderr.flush()
    os._exit(LOST)
