"""The contract of executors: what they are asked to have done, with what, and what comes back.

An executor is a function `run(request, setting)` that an `ExecutorDescriptor` names, and that returns a generator: it yields
None whenever its worker has had its turn, and returns an Outcome. Trials, verification and questions about a framework all go
through the executor that the configuration names, so that what is proven is proven where it is measured.

An executor that can have requests done in several places at once says so by its descriptor's `connect`; its generators yield a
Future wherever they only wait, and whoever runs them goes on with others until that is done. So does any executor that can
have several frameworks asked or verified side by side. Events are handed on while a
generator is asked for its next item, and there is one to ask for as soon as an event has come. Places with an `address` may
share batches (`num_nodes`): a request is then done as one that leads and others of the kind "follow".
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal, TypeVar

from attrs import field, frozen

from mlbench_core.record import Ending, Measured, Observed, Record, Status
from mlbench_core.serialize import from_json, to_json
from mlbench_core.trial import Inspection, Job
from mlbench_core.version import VERSION

T = TypeVar("T")


@frozen(kw_only=True)
class Request:
    """What a worker is asked to do, as plain JSON data.

    kind: "trial" (job: a `trial.Job`), "verify" (a `verify.rungs.VerifyJob`), "inspect" (a `trial.Inspection`) or "follow"
    (a `trial.Following`). device: "cpu"
    or "cuda:N", the one that the worker sees. threads: CPUs that it may use. core: the version of mlbench-core that asks; a
    worker of another version refuses before it looks at anything else.
    """

    kind: Literal["trial", "verify", "inspect", "follow"]
    job: dict[str, Any]
    device: str
    threads: int
    core: str = VERSION


@frozen
class Place:
    """Where an executor can have one request done while others are done elsewhere.

    name: by which a Setting asks for it; no other place's. kind: the same for places whose machines are alike. node: the same
    for places on one machine; empty: no other place is there. labels, facts: what the machine is called, and the facts about it
    as `machine.facts` gives them; by these, `nodes` of a configuration finds it. address: at which others reach the machine.
    others: the places, on other machines, that share each batch with this one.
    """

    name: str = ""
    kind: str = ""
    node: str = ""
    labels: Mapping[str, str] = field(factory=dict, eq=False)
    facts: Mapping[str, Any] = field(factory=dict, eq=False)
    address: str = field(default="", eq=False)
    others: tuple[Place, ...] = ()


@frozen(kw_only=True)
class Setting:
    """What an executor needs besides the request.

    python: the interpreter of the worker. time_limit_s: after which it is ended; waiting for a turn does not count.
    phase_limit_s: the same for each phase, or for those of a mapping. log: the file that takes what it prints. on_event:
    called with each event of the worker, see `executors.events`, while it runs. folder: where the worker starts, so that it
    can import what lies there, as the parent can. place: the name of the `Place` where it is to be done; empty: any. stop: a
    descriptor from which there is something to read once the request is given up; for who cannot close the generator, because
    another thread runs it.
    """

    python: str
    time_limit_s: float
    log: Path
    on_event: Callable[[dict[str, Any]], None] = field(default=lambda _event: None)
    folder: Path = Path()
    phase_limit_s: float | Mapping[str, float] | None = None
    place: str = ""
    stop: int | None = None


@frozen(kw_only=True)
class Outcome:
    """How a worker ended.

    answer: the fields of its last event: `measured` of a trial, `info` of an inspection. machine: the facts about the machine
    that it ran on, as `machine.facts` gives them; None if it is the one that the descriptor's `machine` tells of. place: the
    name of the `Place` where it was done. started: ISO 8601, UTC.
    """

    status: Status
    reason: str = ""
    ending: Ending = field(factory=Ending)
    answer: dict[str, Any] = field(factory=dict)
    observed: Observed = field(factory=Observed)
    machine: dict[str, Any] | None = None
    place: str = ""
    started: str = ""
    log: str = ""


Running = Generator[Future[None] | None, None, T]
"""Goes on when asked for its next item, and returns what came of it; closing it ends the worker. An item is None when the
worker has had its turn, or a Future: until that is done there is nothing to go on with."""
Run = Callable[[Request, Setting], Running[Outcome]]
"""An executor. Never raises for a worker that fails: that is an Outcome."""


def trial_request(job: Job) -> Request:
    """The request to run a trial."""
    return Request(kind="trial", job=to_json(job), device=job.trial.device, threads=job.trial.threads)


def inspect_request(inspection: Inspection) -> Request:
    """The request to ask a framework what it is and offers."""
    plan = inspection.plan
    return Request(kind="inspect", job=to_json(inspection), device=plan.device, threads=plan.threads)


def record_of(job: Job, outcome: Outcome, machine: str) -> Record:
    """The record of a trial, from how its worker ended. machine: the key of the facts about where it ran."""
    ended = outcome.status == "ok"
    return Record(
        trial=job.trial,
        status=outcome.status,
        reason=outcome.reason,
        ending=outcome.ending,
        measured=from_json(outcome.answer["measured"], Measured) if ended else Measured(),
        observed=outcome.observed,
        machine=machine,
        place=outcome.place,
        started=outcome.started,
        log=outcome.log,
    )
