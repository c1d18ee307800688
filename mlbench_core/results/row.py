"""A row of results: one cell in one block. To add a column, add a field to `Row`; `COLUMNS`, the CSV, the tables and the
README's list follow from it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_type_hints

from attrs import evolve, fields, frozen

from mlbench_core.record import Flag, Status
from mlbench_core.results.columns import Column, count, decimal, listed, share, whole
from mlbench_core.stats.percentiles import Percentile

RowStatus = Status | Literal["rejected"]
"""A trial's status; or "rejected": all trials ended well but a number is impossible. "interrupted": the run ended before the
inference trial did."""


@frozen
class Parity:
    """Whether the row's model was proven to be the reference's. reason: why it is "not comparable", else empty."""

    verdict: Literal["verified", "unverified", "not comparable"]
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.verdict}: {self.reason}" if self.reason else self.verdict


@frozen(kw_only=True)
class Latency:
    """Mean and percentiles in ms; a percentile is None where there are too few values for it."""

    mean: float
    p50: Percentile | None = None
    p90: Percentile | None = None
    p95: Percentile | None = None
    p99: Percentile | None = None
    p999: Percentile | None = None


PERCENTILES = ("p50", "p90", "p95", "p99", "p999")


@frozen(kw_only=True)
class Row:
    """What is known of one cell in one block, from its training and its inference trial. None: not measured.

    Times in s or ms as the name says, memory in MB (10**6 bytes), accuracies in [0, 1], shares in percent. The columns of
    `Latency` are those of its fields, see `COLUMNS`.
    """

    framework: Annotated[str, Column(label="framework", meaning="the framework's name")]
    model: Annotated[str, Column(label="model", meaning="the model's name")]
    dataset: Annotated[str, Column(label="data set", meaning="the data set's name, or the path of a file")]
    device: Annotated[
        str, Column(label="device", meaning="cpu, cuda:N as the run counted them, or several that share a batch")
    ]
    batch_size: Annotated[
        int, Column(label="batch size", unit="samples", meaning="of training; of inference in a run of inference alone")
    ]
    precision: Annotated[str, Column(label="precision", meaning="of products, parameters and activations")]
    execution: Annotated[str, Column(label="execution", meaning="how the framework ran the step, as it turned out")]
    block: Annotated[int, Column(label="block", meaning="which repetition in fresh processes, from 0")]

    train_time_per_epoch: Annotated[
        float | None,
        Column(
            label="s/epoch", unit="s", show=decimal, meaning="mean epoch of the real training, data loading included"
        ),
    ] = None
    total_train_time: Annotated[
        float | None,
        Column(label="training s", unit="s", show=decimal, meaning="all epochs of the real training together"),
    ] = None
    samples_per_second: Annotated[
        float | None,
        Column(
            label="samples/s",
            unit="1/s",
            show=count,
            meaning="training throughput: all samples over all time, batches on the device",
        ),
    ] = None
    peak_memory_mb: Annotated[
        float | None,
        Column(label="peak MB", unit="MB", show=whole, meaning="live tensors on an accelerator, the process on a CPU"),
    ] = None
    avg_memory_mb: Annotated[
        float | None, Column(label="average MB", unit="MB", show=whole, meaning="of the process while it was measured")
    ] = None
    memory_source: Annotated[str | None, Column(label="memory of", meaning="what the two memory columns count")] = None
    final_train_accuracy: Annotated[
        float | None, Column(label="train. acc. %", show=share, meaning="after the last epoch, in [0, 1]")
    ] = None
    final_val_accuracy: Annotated[
        float | None,
        Column(label="val. acc. %", show=share, meaning="on validation data after the last epoch, in [0, 1]"),
    ] = None
    num_parameters: Annotated[
        int | None, Column(label="parameters", show=whole, meaning="trained parameters of the model")
    ] = None
    model_size_mb: Annotated[
        float | None, Column(label="saved MB", unit="MB", show=decimal, meaning="saved in the framework's own format")
    ] = None
    inference_latency: Annotated[
        Latency | None, Column(label="", unit="ms", show=decimal, meaning="of one query at a time, synchronised")
    ] = None
    gpu_utilization_pct: Annotated[
        float | None,
        Column(label="GPU %", unit="%", show=whole, meaning="share of time in which any kernel ran (NVML)"),
    ] = None
    first_step_s: Annotated[
        float | None,
        Column(label="first step s", unit="s", show=decimal, meaning="the first step, compilation included"),
    ] = None
    variant: Annotated[
        str, Column(label="variant", meaning="of the framework, by the label of its entry; empty if it has none")
    ] = ""
    node: Annotated[
        str, Column(label="node", meaning="the kind of node, where the configuration names kinds; empty if it does not")
    ] = ""
    num_nodes: Annotated[int, Column(label="nodes", meaning="how many share each batch")] = 1
    framework_version: Annotated[str | None, Column(label="version", meaning="of the framework")] = None
    parity: Annotated[
        Parity,
        Column(label="parity", meaning='"verified", "unverified", or "not comparable" with the reason'),
    ] = Parity("unverified")
    status: Annotated[
        RowStatus,
        Column(
            label="status",
            meaning='"ok", or what went wrong: "out-of-memory", "timeout", "crashed" ...: see docs/reference/outcomes.md',
        ),
    ] = "ok"
    reason: Annotated[str, Column(label="reason", meaning="what to know, where the status is not ok")] = ""
    flags: Annotated[
        tuple[Flag, ...], Column(label="flags", show=listed, meaning="doubts about the row's numbers, with their level")
    ] = ()
    outliers: Annotated[
        int | None,
        Column(label="outliers", show=whole, meaning="values far outside the quartiles: counted, never dropped"),
    ] = None
    bottleneck: Annotated[
        str | None, Column(label="bottleneck", meaning="what an epoch of real training spends its time on")
    ] = None
    data_wait_pct: Annotated[
        float | None, Column(label="data %", unit="%", show=whole, meaning="share of an epoch that waits for data")
    ] = None
    placement_pct: Annotated[
        float | None,
        Column(label="placement %", unit="%", show=whole, meaning="share that moves batches to the device"),
    ] = None
    dispatch_pct: Annotated[
        float | None,
        Column(label="dispatch %", unit="%", show=whole, meaning="share that asks for steps; not on a CPU"),
    ] = None
    device_pct: Annotated[
        float | None,
        Column(
            label="device %",
            unit="%",
            show=whole,
            meaning="share in which the device computes, also while the host does other things",
        ),
    ] = None
    time_to_100_steps_s: Annotated[
        float | None, Column(label="100 steps s", unit="s", show=decimal, meaning="100 steps, compilation included")
    ] = None
    time_to_1000_steps_s: Annotated[
        float | None, Column(label="1,000 steps s", unit="s", show=decimal, meaning="1,000 steps, compilation included")
    ] = None
    time_to_10000_steps_s: Annotated[
        float | None,
        Column(label="10,000 steps s", unit="s", show=decimal, meaning="10,000 steps, compilation included"),
    ] = None
    mfu_pct: Annotated[
        float | None, Column(label="MFU %", unit="%", show=whole, meaning="of the fastest matrix product measured here")
    ] = None
    mfu_data_sheet_pct: Annotated[
        float | None, Column(label="MFU % (sheet)", unit="%", show=whole, meaning="of the card's data sheet")
    ] = None
    measured_peak_tflops: Annotated[
        float | None, Column(label="peak TFLOP/s", unit="TFLOP/s", show=decimal, meaning="the fastest matrix product")
    ] = None
    data_sheet_peak_tflops: Annotated[
        float | None, Column(label="sheet TFLOP/s", unit="TFLOP/s", show=decimal, meaning="by the card's data sheet")
    ] = None
    scaling_efficiency_pct: Annotated[
        float | None,
        Column(
            label="scaling %",
            unit="%",
            show=whole,
            meaning="speed per device over one device's, where several share a batch",
        ),
    ] = None
    device_peak_max_mb: Annotated[
        float | None,
        Column(label="one device MB", unit="MB", show=whole, meaning="at most on any one of several GPUs (NVML)"),
    ] = None
    live_tensors_peak_mb: Annotated[
        float | None, Column(label="tensors MB", unit="MB", show=whole, meaning="live tensors on the device at most")
    ] = None
    pool_peak_mb: Annotated[
        float | None, Column(label="pool MB", unit="MB", show=whole, meaning="the framework's allocator at most")
    ] = None
    device_process_peak_mb: Annotated[
        float | None,
        Column(label="on device MB", unit="MB", show=whole, meaning="the process on its GPU at most (NVML)"),
    ] = None
    host_peak_mb: Annotated[
        float | None, Column(label="host MB", unit="MB", show=whole, meaning="the process's resident memory at most")
    ] = None
    host_avg_mb: Annotated[
        float | None, Column(label="host avg. MB", unit="MB", show=whole, meaning="its average while measured")
    ] = None
    sm_utilization_pct: Annotated[
        float | None, Column(label="SM %", unit="%", show=whole, meaning="multiprocessors in use, where the card tells")
    ] = None
    power_w: Annotated[float | None, Column(label="W", unit="W", show=whole, meaning="the GPU's average power")] = None
    energy_j: Annotated[
        float | None, Column(label="J", unit="J", show=whole, meaning="the GPU's energy, over 10 s or more")
    ] = None
    inference_samples_per_second: Annotated[
        float | None, Column(label="infer. samples/s", unit="1/s", show=count, meaning="inference throughput")
    ] = None
    largest_batch: Annotated[
        int | None,
        Column(
            label="largest batch",
            unit="samples",
            show=whole,
            meaning="that this framework trains with, to an eighth, where `batch_sizes` is auto",
        ),
    ] = None
    step_latency: Annotated[
        Latency | None,
        Column(label="step", unit="ms", show=decimal, meaning="of training steps synchronised one by one"),
    ] = None


def _columns() -> tuple[Column, ...]:
    hints = get_type_hints(Row, include_extras=True)
    found: list[Column] = []
    for attribute in fields(Row):
        (column,) = hints[attribute.name].__metadata__
        if Latency in getattr(hints[attribute.name].__origin__, "__args__", ()):
            found += _latency_columns(attribute.name, column)
        else:
            found.append(evolve(column, name=attribute.name))
    return tuple(found)


def _latency_columns(name: str, column: Column) -> list[Column]:
    prefix = f"{column.label} " if column.label else ""
    found = [evolve(column, name=f"{name}_mean_ms", label=f"{prefix}mean ms", meaning=f"mean {column.meaning}")]
    for p in PERCENTILES:
        shown = "p99.9" if p == "p999" else p
        for end, words in (("", shown), ("_low", f"{shown} low"), ("_high", f"{shown} high")):
            what = f"{shown} {column.meaning}" if not end else f"{end[1:]} end of its 95 % interval"
            found.append(evolve(column, name=f"{name}_{p}{end}_ms", label=f"{prefix}{words} ms", meaning=what))
    return found


COLUMNS: tuple[Column, ...] = _columns()
"""Every column, in the order of the CSV file."""
BY_NAME: dict[str, Column] = {column.name: column for column in COLUMNS}


def plain(row: Row) -> dict[str, Any]:
    """The row by column name: a number, a text or None each; parity and flags as one text each."""
    found: dict[str, Any] = {}
    for attribute in fields(Row):
        name, value = attribute.name, getattr(row, attribute.name)
        if f"{name}_mean_ms" in BY_NAME:
            found |= _latency(name, value)
        elif name == "flags":
            found[name] = listed(value)
        else:
            found[name] = str(value) if name == "parity" else value
    return found


def _latency(name: str, latency: Latency | None) -> dict[str, float | None]:
    found: dict[str, float | None] = {f"{name}_mean_ms": None if latency is None else latency.mean}
    for p in PERCENTILES:
        known: Percentile | None = None if latency is None else getattr(latency, p)
        for end, attribute in (("", "value"), ("_low", "low"), ("_high", "high")):
            found[f"{name}_{p}{end}_ms"] = None if known is None else getattr(known, attribute)
    return found
