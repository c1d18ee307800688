"""The values that travel: a Trial says what to run, a Job adds where things are, a Record says what came of it.

All are frozen and turn into JSON and back with `to_json` and `from_json`.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal, TypeVar

import cattrs
from attrs import field, frozen

from mlbench_core.architecture import Optimizer
from mlbench_core.config import Measure

Task = Literal["train", "infer"]
Status = Literal["ok", "failed", "crashed", "timeout", "unsupported"]


@frozen
class Plan:
    """The part of a Trial that a framework needs.

    device: "cpu" or "cuda:N" as the user counts them. The worker sets CUDA_VISIBLE_DEVICES so that the framework sees this
        one device only, as its first.
    precision: "fp32" (float32 everywhere, TF32 off), "tf32" (float32 with TF32 products), "bf16" and "fp16" (float32
        parameters and optimiser, 16-bit products and activations), "fp64" (float64 everywhere; the parity ladder's).
    execution: a name from the framework's own `FrameworkInfo.executions` ("default" only in `worker_environment`).
    """

    device: str
    precision: str
    execution: str
    batch_size: int
    optimizer: Optimizer
    threads: int
    seed: int
    task: Task

    @property
    def accelerated(self) -> bool:
        """Whether the device is not the CPU."""
        return self.device != "cpu"


@frozen
class Trial:
    """One cell of the matrix x one task x one block. Equal trials have equal keys; resume goes by the key."""

    framework: str
    model: str
    dataset: str
    device: str
    batch_size: int
    precision: str
    execution: str
    task: Task
    block: int
    num_epochs: int
    seed: int
    threads: int
    measure: Measure = field(factory=Measure)

    @property
    def key(self) -> str:
        """A short hash of the content."""
        return hashlib.sha256(json.dumps(to_json(self), sort_keys=True).encode()).hexdigest()[:16]

    @property
    def label(self) -> str:
        """What a person calls this trial, for progress lines, log names and messages."""
        parts = [self.framework, self.model, self.device, f"bs{self.batch_size}", self.precision]
        if self.execution != "default":
            parts.append(self.execution)
        return "-".join([*parts, self.task, f"b{self.block}"]).replace(":", "")


@frozen
class ModelSource:
    """Where a worker finds a model: import strings, so that the parent never imports what they name.

    factory: "package.module:function", called as function(input_shape, num_classes), returns an Architecture.
    lowerings: per framework, a module whose import registers lowerings of the model's own layers.
    native: per framework, "package.module:function", asked before the framework's own build_model.
    """

    factory: str
    lowerings: dict[str, str] = field(factory=dict)
    native: dict[str, str] = field(factory=dict)


@frozen
class Job:
    """What a worker is told: the trial, the model, the prepared data set's folder, and a folder for its own files."""

    trial: Trial
    model: ModelSource
    data: str
    scratch: str


@frozen
class MemoryReading:
    """A named counter in bytes, read from a framework or the operating system.

    Names: live_tensors, live_tensors_peak, pool, pool_peak (a framework's allocator on the device), host_peak (the
    process's own peak resident size). An unknown counter is absent, never 0.
    """

    name: str
    bytes: int


@frozen
class Epoch:
    """One pass over the training data. Seconds; loss is the mean over the epoch's steps."""

    seconds: float
    loss: float
    data_wait_s: float
    placement_s: float
    samples: int


@frozen
class Measured:
    """What a worker measured, raw. A field that its task does not measure is None or empty."""

    framework_version: str = ""
    versions: dict[str, str] = field(factory=dict)
    execution: str = ""
    num_parameters: int | None = None
    flops_per_sample: int | None = None
    phases: dict[str, float] = field(factory=dict)
    """Seconds per phase: setup, first_step, warmup, measure, train, evaluate, latency, save."""
    first_step_s: float | None = None
    steps_per_value: int | None = None
    values: list[float] = field(factory=list)
    """Seconds; each is the time of `steps_per_value` steps with one synchronisation at its end."""
    settled: bool | None = None
    epochs: list[Epoch] = field(factory=list)
    final_train_accuracy: float | None = None
    final_val_accuracy: float | None = None
    latencies: list[float] = field(factory=list)
    """Seconds, one per query, closed loop."""
    model_size_bytes: int | None = None
    reload_difference: float | None = None
    """Largest absolute difference of the logits after saving and loading, relative to the largest logit."""
    memory: list[MemoryReading] = field(factory=list)
    knobs: dict[str, str] = field(factory=dict)
    """Settings as read back from the framework after they were set."""


@frozen
class Observed:
    """What the parent saw from outside while the worker ran: means over samples of the measuring phases.

    Bytes for memory, percent for utilisation (NVML's `utilization.gpu`: the share of time in which any kernel ran).
    None where nothing could be sampled.
    """

    wall_s: float = 0.0
    host_average_bytes: float | None = None
    device_average_bytes: float | None = None
    gpu_utilization_pct: float | None = None
    samples: int = 0


@frozen
class Record:
    """What came of a trial. `reason` is empty when `status` is "ok", else one line that says what to do."""

    trial: Trial
    status: Status
    reason: str = ""
    measured: Measured = field(factory=Measured)
    observed: Observed = field(factory=Observed)
    started: str = ""
    log: str = ""


T = TypeVar("T")
_converter = cattrs.Converter(forbid_extra_keys=True)


def to_json(value: object) -> Any:
    """The value as plain dicts, lists, strings and numbers."""
    return _converter.unstructure(value)


def from_json(data: Any, kind: type[T]) -> T:
    """The inverse of `to_json`. Raises cattrs' errors on data that does not fit, an unknown key included."""
    return _converter.structure(data, kind)
