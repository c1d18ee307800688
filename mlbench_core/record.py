"""What came of a trial: what a worker measured, what its parent saw, and the record of both."""

from __future__ import annotations

from statistics import median
from typing import Literal

from attrs import field, frozen

from mlbench_core.trial import Calibration, Trial

Status = Literal[
    "ok", "out-of-memory", "timeout", "crashed", "failed", "diverged", "unsupported", "interrupted", "node-lost"
]  # fmt: skip
"""How a trial ended: docs/reference/outcomes.md says what each means and what to do about it."""
Level = Literal["note", "warn", "unstable", "rejected"]


@frozen
class MemoryReading:
    """A named counter in bytes, read from a framework or the operating system.

    Names: live_tensors, live_tensors_peak, pool, pool_peak (a framework's allocator on the device), host_peak (the
    process's own peak resident size); where memory was short also host_resident (the process then, or when it was last looked
    at) and host_limit (what the machine or the control group has). An unknown counter is absent, never 0.
    """

    name: str
    bytes: int


@frozen(kw_only=True)
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


@frozen(kw_only=True)
class Measured:
    """What a worker measured, raw. A field that its task does not measure is None or empty."""

    framework_version: str = ""
    versions: dict[str, str] = field(factory=dict)
    python: str = ""
    """Version of the Python that the worker ran in."""
    interpreter: str = ""
    """Path of that Python."""
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
    steady: bool | None = None
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
    disturbance: dict[str, dict[str, float]] = field(factory=dict)
    """By phase ("measure", "step_latency", "train", "latency"), what others and the system did to the process while it had its
    turn: the counters of `worker.disturbance.Disturbance`."""


@frozen(kw_only=True)
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


@frozen(kw_only=True)
class Observed:
    """What the parent saw from outside while the worker ran. None where nothing could be sampled.

    wall_s: from before the process was started until nothing of it was left. Averages are over the phases that are the trial's
    purpose. device_peaks_bytes: of each of its GPUs by itself. gpu: clocks, power, energy, throttle reasons, other
    processes, see `executors.gpu`.
    """

    wall_s: float = 0.0
    host_average_bytes: float | None = None
    device_average_bytes: float | None = None
    device_peak_bytes: float | None = None
    device_peaks_bytes: list[int] = field(factory=list)
    gpu_utilization_pct: float | None = None
    timeline: Timeline = field(factory=Timeline)
    gpu: dict[str, float] = field(factory=dict)


@frozen
class Flag:
    """A doubt about a number, or a fact that a reader should know.

    level: "note" (no doubt), "warn" (read with care), "unstable" (do not rely on it), "rejected" (impossible). text: what
    was seen, and for the machine's own flags what to do about it.
    """

    name: str
    level: Level
    text: str

    def __str__(self) -> str:
        return f"{self.level}: {self.name} ({self.text})"


@frozen(kw_only=True)
class Ending:
    """What is known of the end of a trial that did not end well. What does not apply is None or empty.

    phase: that it was in. out_of: whose memory did not suffice, and memory: the bytes at that moment. exception, message: the
    type and the whole text of what was raised. signal: that ended the process, such as "SIGSEGV". exit_status: of the process.
    limit_s: the time limit in s that was reached. last_lines: of its log, 20 at most.
    """

    phase: str = ""
    out_of: Literal["device", "host"] | None = None
    memory: list[MemoryReading] = field(factory=list)
    exception: str = ""
    message: str = ""
    signal: str = ""
    exit_status: int | None = None
    limit_s: float | None = None
    last_lines: list[str] = field(factory=list)


@frozen(kw_only=True)
class LargestBatch:
    """The largest batch that an arm trains with, as `batch_sizes: auto` has found it.

    size: in samples, to an eighth; None if nothing fits. failed: the smallest size that was tried and did not fit; None if none
    was. status: of that probe, "ok" if there was none. reason: what it said, or why nothing larger was tried.
    """

    size: int | None
    failed: int | None = None
    status: Status = "ok"
    reason: str = ""

    def __str__(self) -> str:
        if self.size is None:
            return f"none was found: {self.reason}"
        if self.failed is None:
            return f"{self.size} fits, and no more was tried: {self.reason}"
        return f"{self.size} fits, {self.failed} does not: {self.reason}"


@frozen(kw_only=True)
class Record:
    """What came of a trial. `reason` is empty when `status` is "ok", else one line that says what to do.

    machine: the key of the facts about where it ran, in `Results.machines`. place: the executor's name for where it ran; empty
    where there is but one place. started: ISO 8601, UTC. notes: what to know of the data it ran on. largest_batch: None where
    nobody looked for it.
    """

    trial: Trial
    status: Status
    reason: str = ""
    ending: Ending = field(factory=Ending)
    measured: Measured = field(factory=Measured)
    observed: Observed = field(factory=Observed)
    machine: str = ""
    place: str = ""
    started: str = ""
    log: str = ""
    notes: tuple[Flag, ...] = ()
    largest_batch: LargestBatch | None = None

    def seconds_per_step(self) -> float:
        """The process's own number: the median of its values over their steps. Raises ValueError without values."""
        measured = self.measured
        if not measured.values or measured.calibration is None:
            raise ValueError(f"{self.trial.label} has no values")
        return median(measured.values) / measured.calibration.steps_per_value
