"""A fake framework whose true speed is known: the instrument is tested with it, as a scale is with weights.

It computes nothing. A step takes as long as its `Behaviour` says, on a clock that spins (a sleep of 1 ms takes 1.09) or, in a
test that wants to be exact, on one that only counts. Register it as a framework plugin (entry-point group
`mlbench.frameworks`, module `mlbench_core.testing.fakes`); the variable MLBENCH_FAKE holds a behaviour per execution::

    os.environ.update(fakes.variables(eager=Behaviour(step_s=1e-3), compiled=Behaviour(step_s=1e-3, first_s=2.0)))
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from attrs import define, field, frozen

from mlbench_core.architecture import Architecture, Weights
from mlbench_core.hookspecs import Batch, FrameworkInfo, hookimpl
from mlbench_core.serialize import from_json, to_json
from mlbench_core.trial import Plan

VARIABLE = "MLBENCH_FAKE"


@frozen(kw_only=True)
class Behaviour:
    """What a fake does, in seconds, steps and bytes; the defaults are a well-behaved framework with steps of 1 ms.

    asynchronous: train_step and infer return after `dispatch_s`, and the device works on. waits: synchronize does what it
    says. first_s: the first step's extra time. compiles_at: the numbers of steps that compile anew, each taking `compile_s`
    more. leak_bytes: kept for ever, per step. alternates: every other value takes this share more. drift: every value takes
    this share of the first one more than the one before; growth: this share of the one before. largest_batch: with more samples
    a training step is out of memory; 0: with none.
    """

    step_s: float = 1e-3
    asynchronous: bool = False
    dispatch_s: float = 1e-5
    waits: bool = True
    first_s: float = 0.0
    compiles_at: tuple[int, ...] = ()
    compile_s: float = 0.0
    leak_bytes: int = 0
    alternates: float = 0.0
    drift: float = 0.0
    growth: float = 0.0
    largest_batch: int = 0


class FakeOutOfMemoryError(RuntimeError):
    """Raised as a framework's own exception is where memory is short."""


class Clock(Protocol):
    """Time as the fake sees it, in seconds."""

    def now(self) -> float:
        """The present."""

    def advance(self, until: float) -> None:
        """Lets time pass until then."""


class SpinningClock:
    """Real time; waiting is spinning."""

    # Itself: a call around it would be time that the fake takes and does not count.
    now = staticmethod(time.perf_counter)

    def advance(self, until: float) -> None:
        """Spins."""
        while time.perf_counter() < until:
            pass


class CountingClock:
    """Time that passes only when somebody waits: exact, and immune to what else the machine does."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        """The present, which a look does not change."""
        return self.time

    def advance(self, until: float) -> None:
        """Jumps."""
        self.time = max(self.time, until)


CLOCK: Clock = SpinningClock()
LOSS = np.ones((), np.float32)


def variables(**behaviours: Behaviour) -> dict[str, str]:
    """The environment that makes the fake behave so, by execution."""
    return {VARIABLE: json.dumps({name: to_json(behaviour) for name, behaviour in behaviours.items()})}


def _behaviours() -> dict[str, Behaviour]:
    given = json.loads(os.environ.get(VARIABLE, '{"eager": {}}'))
    return {name: from_json(data, Behaviour) for name, data in given.items()}


@define
class Session:
    """steps: done so far. values: synchronisations so far. free: when the device will have done all it was asked. busy_s: the
    time it has taken, by its own clock."""

    behaviour: Behaviour
    weights: Weights
    classes: int
    steps: int = 0
    values: int = 0
    compiled: int = 0
    free: float = 0.0
    busy_s: float = 0.0
    leaked: list[bytes] = field(factory=list)

    def work(self) -> None:
        """One step."""
        start, behaviour = CLOCK.now(), self.behaviour  # the clock first: what follows is part of the step's time
        seconds = behaviour.step_s * (1 + behaviour.drift * self.values) * (1 + behaviour.growth) ** self.values
        if behaviour.alternates and self.values % 2:
            seconds *= 1 + behaviour.alternates
        if self.steps == 0:
            seconds += behaviour.first_s
            self.compiled += 1
        self.steps += 1
        if self.steps in behaviour.compiles_at:
            seconds += behaviour.compile_s
            self.compiled += 1
        if behaviour.leak_bytes:
            self.leaked.append(b"x" * behaviour.leak_bytes)
        self.free = max(self.free, start) + seconds
        CLOCK.advance(start + behaviour.dispatch_s if behaviour.asynchronous else self.free)
        self.busy_s += CLOCK.now() - start


@hookimpl
def framework_info() -> FrameworkInfo:
    """The CPU in float32, with an execution per behaviour."""
    names = tuple(_behaviours())
    return FrameworkInfo(
        name="fake",
        version="1.0",
        devices=("cpu",),
        precisions=("fp32",),
        executions=names,
        default_execution=names[0],
        across_nodes=("cpu",),
    )


@hookimpl
def build_model(architecture: Architecture, plan: Plan) -> Architecture:
    """The tree itself."""
    return architecture


@hookimpl
def make_session(model: Architecture, weights: Weights, plan: Plan) -> Session:
    """A session that behaves as the plan's execution does."""
    return Session(_behaviours()[plan.execution], dict(weights), model.num_classes)


@hookimpl
def place_batch(session: Session, batch: Batch) -> int:
    """The number of samples: all that a fake needs."""
    return len(batch.y)


@hookimpl
def train_step(session: Session, batch: int) -> npt.NDArray[Any]:
    """A step; its loss is always 1."""
    if 0 < session.behaviour.largest_batch < batch:
        raise FakeOutOfMemoryError(f"out of memory: {batch} samples, and {session.behaviour.largest_batch} fit")
    session.work()
    return LOSS


@hookimpl
def infer(session: Session, batch: int) -> npt.NDArray[Any]:
    """A step; its logits are all 1."""
    session.work()
    return np.ones((batch, session.classes), np.float32)


@hookimpl
def synchronize(session: Session, value: Any) -> bool:
    """Waits for the device, if the behaviour says so."""
    session.values += 1
    if session.behaviour.waits:
        CLOCK.advance(session.free)
    return True


@hookimpl
def to_numpy(session: Session, value: Any) -> npt.NDArray[Any]:
    """The value, once the device is done."""
    CLOCK.advance(session.free)
    return np.asarray(value)


@hookimpl
def compilations(session: Session) -> int:
    """The first step's, and those of `compiles_at`."""
    return session.compiled


@hookimpl
def read_weights(session: Session) -> Weights:
    """What it was given."""
    return dict(session.weights)


@hookimpl
def save(session: Session, path: Path) -> Path:
    """One array per parameter, in NumPy's own archive."""
    written = path.with_name(f"{path.name}.npz")
    arrays: dict[str, Any] = session.weights
    np.savez(written, **arrays)
    return written


@hookimpl
def load(session: Session, path: Path) -> Session:
    """The same session: nothing has changed since."""
    return session


@hookimpl
def close_session(session: Session) -> bool:
    """Forgets what it leaked."""
    session.leaked.clear()
    return True
