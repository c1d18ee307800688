"""The values that travel: a Trial says what to run, a Job adds where things are, a Record says what came of it.

All are frozen and turn into JSON and back with `to_json` and `from_json`.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal, TypeVar

import cattrs
from attrs import evolve, field, frozen

from mlbench_core.architecture import Optimizer
from mlbench_core.thresholds import Measure

Task = Literal["train", "infer"]
Status = Literal["ok", "failed", "crashed", "timeout", "unsupported"]


@frozen
class Plan:
    """The part of a Trial that a framework needs.

    device: "cpu" or "cuda:N" as the user counts them. The worker sets CUDA_VISIBLE_DEVICES so that the framework sees this
        one device only, as its first.
    precision: "fp32" (float32 everywhere, TF32 off), "tf32" (float32 with TF32 products), "bf16" and "fp16" (float32
        parameters and optimiser, 16-bit products and activations), "fp64" (float64 everywhere; the parity ladder's),
        "default" (float32, with TF32 as the framework comes).
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
    def arm(self) -> Trial:
        """What is repeated in every block: the trial without its block, and without the real training of the first."""
        return evolve(self, block=0, num_epochs=0)

    @property
    def cell(self) -> Trial:
        """What the arms of a comparison have in common: the trial without framework, execution, block and real training."""
        return evolve(self.arm, framework="", execution="")

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
class Calibration:
    """What the first block of an arm found out, so that its other blocks are timed alike.

    steps_per_value: k, the steps of one value. warmup_steps: after how many steps the process was steady.
    """

    steps_per_value: int
    warmup_steps: int


@frozen
class Job:
    """What a worker is told: the trial, the model, the prepared data set's folder, a folder for its own files, and what an
    earlier block of the same arm has calibrated, if there was one. takes_turns: whether the worker waits for its turn before it
    measures, and after each of its turns, because other arms of its cell are being measured too."""

    trial: Trial
    model: ModelSource
    data: str
    scratch: str
    calibration: Calibration | None = None
    takes_turns: bool = False


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
    """One pass over the training data. loss: the mean over the epoch's steps.

    The seconds of the training loop's own thread: waiting for data, placing batches, inside train_step, and inside
    synchronize. What is missing to `seconds` is the loop itself.
    """

    seconds: float
    loss: float
    data_wait_s: float
    placement_s: float
    dispatch_s: float
    device_wait_s: float
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
    """Seconds per phase: start (importing the core), setup, first_step, warmup, measure, step_latency, train, evaluate,
    latency, save, teardown; and waiting: for its turn, which is in no other phase."""
    first_step_s: float | None = None
    calibration: Calibration | None = None
    values: list[float] = field(factory=list)
    """Seconds; each is the time of k steps with one synchronisation at its end."""
    turns: list[int] = field(factory=list)
    """How many of the values each turn has; one turn if there was nobody to take turns with."""
    settled: bool | None = None
    """Whether the process was steady when its values were taken; None: nobody looked."""
    compilations: int | None = None
    """Compilations while the values were taken; None where the framework does not say."""
    memory_during: list[int] = field(factory=list)
    """Bytes after each value: live tensors on an accelerator, resident memory on the CPU."""
    read_back_s: float | None = None
    """Seconds to read a result on the host once synchronize had returned: long means that synchronize does not wait."""
    step_latencies: list[float] = field(factory=list)
    """Seconds per training step, synchronised one by one."""
    step_dispatches: list[float] = field(factory=list)
    """Seconds until the call of each of these steps returned, with nothing else on the device."""
    epochs: list[Epoch] = field(factory=list)
    final_train_accuracy: float | None = None
    final_val_accuracy: float | None = None
    latencies: list[float] = field(factory=list)
    """Seconds, one per query, closed loop."""
    query_turns: list[int] = field(factory=list)
    """How many of the queries each turn has."""
    model_size_bytes: int | None = None
    reload_difference: float | None = None
    """Largest absolute difference of the logits after saving and loading, relative to the largest logit."""
    peak_flops: float | None = None
    """Floating-point operations per second of a large matrix product in this framework, at the trial's device and precision."""
    memory: list[MemoryReading] = field(factory=list)
    knobs: dict[str, str] = field(factory=dict)
    """Settings as read back from the framework and the system after they were set."""
    strain: dict[str, float] = field(factory=dict)
    """What the system did to the process while it measured: cgroup_throttled_s, swapped_bytes, preempted (involuntary context
    switches), page_faults, where the system says."""


@frozen
class Timeline:
    """Samples of a worker over its whole life, equally long columns. seconds: since its start. phase: of the worker.

    host_bytes: resident memory. device_bytes: the worker's on its GPU. gpu_pct: NVML's `utilization.gpu`. The last two are
    empty without a GPU.
    """

    seconds: list[float] = field(factory=list)
    phase: list[str] = field(factory=list)
    host_bytes: list[int] = field(factory=list)
    device_bytes: list[int] = field(factory=list)
    gpu_pct: list[float] = field(factory=list)


@frozen
class Observed:
    """What the parent saw from outside while the worker ran. None where nothing could be sampled.

    wall_s: from before the process was started until nothing of it was left. Averages are over the phases that are the trial's
    purpose. gpu: clocks, power, energy, throttle reasons and other processes' number, see `runner.gpu`.
    """

    wall_s: float = 0.0
    host_average_bytes: float | None = None
    device_average_bytes: float | None = None
    device_peak_bytes: float | None = None
    gpu_utilization_pct: float | None = None
    timeline: Timeline = field(factory=Timeline)
    gpu: dict[str, float] = field(factory=dict)


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


@frozen
class Flag:
    """A doubt about a number, or a fact that a reader should know.

    level: "note" (no doubt), "warn" (read with care), "unstable" (do not rely on it), "rejected" (impossible). text: what
    was seen, and for the machine's own flags what to do about it.
    """

    name: str
    level: Literal["note", "warn", "unstable", "rejected"]
    text: str

    def __str__(self) -> str:
        return f"{self.level}: {self.name} ({self.text})"


T = TypeVar("T")
_converter = cattrs.Converter(forbid_extra_keys=True)


def to_json(value: object) -> Any:
    """The value as plain dicts, lists, strings and numbers."""
    return _converter.unstructure(value)


def from_json(data: Any, kind: type[T]) -> T:
    """The inverse of `to_json`. Raises cattrs' errors on data that does not fit, an unknown key included."""
    return _converter.structure(data, kind)
