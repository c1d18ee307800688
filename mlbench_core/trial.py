"""What to run: a Trial, the Plan that a framework needs of it, and the Job that adds where things are. All frozen, all JSON."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Literal

from attrs import evolve, field, frozen

from mlbench_core.architecture import CrossEntropy, Loss, UpdateRule
from mlbench_core.devices import kind_of, number_of
from mlbench_core.entry import shown_framework
from mlbench_core.serialize import to_json
from mlbench_core.thresholds import Measure

Task = Literal["train", "infer"]
AUTO = 0
"""The batch size of a trial that trains with the largest batch, until that is found."""


@frozen(kw_only=True)
class Plan:
    """The part of a Trial that a framework needs.

    device: "cpu", "cuda:N" as the user counts them, "mps", or several that share each batch: "cuda:0-1", "cpu*2". The worker
        sets CUDA_VISIBLE_DEVICES so that the framework sees these devices only, as its first.
    precision: "fp32" (float32 everywhere, TF32 off), "tf32" (float32 with TF32 products), "bf16" and "fp16" (float32
        parameters and optimiser, 16-bit products and activations), "fp64" (float64 everywhere; the parity ladder's),
        "default" (float32, with TF32 as the framework comes).
    tuned: whether to follow the framework's own performance guide where that is no other mathematics: fused optimisers and the
        like. What that changes is read back as knobs.
    execution: a name from the framework's own `FrameworkInfo.executions` ("default" only in `worker_environment`).
    members: where several nodes share each batch, an address "host:port" on each of them that the framework may take for its
        own rendezvous. node: which of them this process is on. Each has such a `device`, and is given its share of a batch.
    """

    device: str
    precision: str
    execution: str
    batch_size: int
    optimizer: UpdateRule
    threads: int
    seed: int
    task: Task
    tuned: bool = False
    loss: Loss = field(factory=CrossEntropy)
    node: int = 0
    members: tuple[str, ...] = ()

    @property
    def num_nodes(self) -> int:
        """How many nodes share each batch."""
        return max(1, len(self.members))

    @property
    def accelerated(self) -> bool:
        """Whether the device is not the CPU."""
        return kind_of(self.device) != "cpu"

    @property
    def num_devices(self) -> int:
        """How many devices of this node share each batch, or its share of one."""
        return number_of(self.device)


@frozen(kw_only=True)
class Trial:
    """One cell of the matrix x one task x one block. Equal trials have equal keys; resume goes by the key."""

    framework: str
    variant: str = ""
    """Of the framework, by the label of its entry; empty where the run has but one and calls it by the framework's name."""
    model: str
    dataset: str
    device: str
    batch_size: int
    """In samples; `AUTO` until the largest is found."""
    precision: str
    execution: str
    task: Task
    block: int
    num_epochs: int
    seed: int
    threads: int
    measure: Measure = field(factory=Measure)
    tuned: bool = False
    optimizer: str = ""
    """The name of the one that was asked for; empty for the model's own."""
    loss: str = ""
    """The same of the loss."""
    node: str = ""
    """The kind of node that it runs on, by `NodeKind.name`; empty where the configuration names none."""
    num_nodes: int = 1
    """How many nodes share each batch."""

    @property
    def arm(self) -> Trial:
        """What is repeated in every block: the trial without its block, and without the real training of the first."""
        return evolve(self, block=0, num_epochs=0)

    @property
    def key(self) -> str:
        """A short hash of the content."""
        return hashlib.sha256(json.dumps(to_json(self), sort_keys=True).encode()).hexdigest()[:16]

    @property
    def label(self) -> str:
        """What a person calls this trial, for progress lines, log names and messages."""
        parts = [shown_framework(self), self.model, self.device, f"bs{self.batch_size or 'auto'}", self.precision]
        if self.num_nodes > 1:
            parts.insert(3, f"n{self.num_nodes}")
        if self.node:
            parts.insert(3, re.sub(r"[^\w.=+-]+", "-", self.node))
        if self.execution != "default":
            parts.append(self.execution)
        return "-".join([*parts, self.task, f"b{self.block}"]).replace(":", "").replace("*", "x")


@frozen
class OptimizerSource:
    """Where a worker finds an optimiser: import strings, as in `ModelSource`.

    rule: "package.module:function", called without arguments, returns an `architecture.UpdateRule`.
    lowerings: per framework, what registers the rule's implementation: a module, by being imported, or a function
    "package.module:function", called without arguments.
    """

    rule: str
    lowerings: dict[str, str] = field(factory=dict)


@frozen
class LossSource:
    """Where a worker finds a loss: import strings, as in `OptimizerSource`.

    loss: "package.module:function", called without arguments, returns an `architecture.Loss`. lowerings: per framework, what
    registers the loss's implementation.
    """

    loss: str
    lowerings: dict[str, str] = field(factory=dict)


@frozen
class ModelSource:
    """Where a worker finds a model: import strings, so that the parent never imports what they name.

    factory: "package.module:function", called as function(input_shape, num_classes), returns an Architecture.
    lowerings: per framework, what registers lowerings of the model's own layers: a module, by being imported, or a function
    "package.module:function", called without arguments (such as "mlbenchfile:on_pytorch").
    native: per framework, "package.module:function", asked before the framework's own build_model.
    optimizer, loss: what to train with in place of the architecture's own.
    """

    factory: str
    lowerings: dict[str, str] = field(factory=dict)
    native: dict[str, str] = field(factory=dict)
    optimizer: OptimizerSource | None = None
    loss: LossSource | None = None


@frozen
class Calibration:
    """What the first block of an arm found out, so that its other blocks are timed alike.

    steps_per_value: k, the steps of one value. warmup_steps: after how many steps the process was steady.
    """

    steps_per_value: int
    warmup_steps: int


@frozen(kw_only=True)
class Team:
    """The workers, one on each of several nodes, that share each batch, as one of them is told of it.

    size: how many nodes. host: where the others can reach this one. token: what they know each other by. leader: "host:port"
    of the one that leads; empty for itself.
    """

    size: int
    host: str
    token: str
    leader: str = ""


@frozen(kw_only=True)
class Following:
    """What a worker is told that does on its node what the leader of its team says. number: of its node, from 1."""

    framework: str
    number: int
    team: Team


@frozen(kw_only=True)
class Job:
    """What a worker is told of a trial.

    data: the prepared data set's folder. calibration: what an earlier block of the same arm has found, if there was one.
    takes_turns: whether the worker waits for its turn before it measures, and after each of its turns, because other arms of
    its group are being measured too. team: what it leads, where several nodes share each batch.
    """

    trial: Trial
    model: ModelSource
    data: str
    calibration: Calibration | None = None
    takes_turns: bool = False
    team: Team | None = None


@frozen
class Inspection:
    """What a worker is told that only asks a framework what it is and offers: its name, and a plan to enter it with."""

    framework: str
    plan: Plan
