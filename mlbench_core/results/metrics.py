"""Record -> the fields of a row: what one training or inference record says, in the columns' units."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from attrs import evolve, frozen

from mlbench_core.devices import kind_of
from mlbench_core.record import Record
from mlbench_core.results.bottleneck import shares
from mlbench_core.results.row import Latency, Row
from mlbench_core.stats import shape
from mlbench_core.stats.percentiles import percentiles
from mlbench_core.stats.time_to import time_to

MB = 1e6
"""A megabyte is 10**6 bytes throughout."""
ENERGY_SECONDS = 10.0
"""Energy over a shorter time is not reported: the counter moves in steps."""


def with_training(row: Row, record: Record) -> Row:
    """The row with what its training record says."""
    measured = record.measured
    seconds = [epoch.seconds for epoch in measured.epochs]
    row = evolve(
        row,
        train_time_per_epoch=fmean(seconds) if seconds else None,
        total_train_time=sum(seconds) if seconds else None,
        samples_per_second=samples_per_second(record),
        final_train_accuracy=measured.final_train_accuracy,
        final_val_accuracy=measured.final_val_accuracy,
        model_size_mb=_mb(measured.model_size_bytes),
        first_step_s=measured.first_step_s,
        outliers=shape.outliers(measured.values) if measured.values else None,
        step_latency=latency(measured.step_latencies),
    )
    return _with_gpu(_with_bottleneck(_with_time_to(row, record), record), record)


@frozen
class Inference:
    """What an inference record says, in the columns' units: for all rows that share it."""

    samples_per_second: float | None
    latency: Latency | None


def inference(record: Record) -> Inference:
    """Of an inference record."""
    measured = record.measured
    rate = record.trial.batch_size / record.seconds_per_step() if measured.values else None
    return Inference(rate, latency(measured.latencies))


def samples_per_second(record: Record) -> float | None:
    """All samples of the values over all their time; None without values."""
    measured = record.measured
    if not measured.values or measured.calibration is None:
        return None
    steps = measured.calibration.steps_per_value * len(measured.values)
    return record.trial.batch_size * steps / sum(measured.values)


def flops_per_second(record: Record) -> float | None:
    """Floating-point operations of each node by the architecture, over the time of a step; None where either is unknown."""
    measured = record.measured
    if not measured.values or not measured.flops_per_sample:
        return None
    return measured.flops_per_sample * record.trial.batch_size / record.trial.num_nodes / record.seconds_per_step()


def latency(seconds: Sequence[float]) -> Latency | None:
    """Mean and percentiles in ms, each percentile with its 95 % interval; None without values."""
    if not seconds:
        return None
    values = [1e3 * value for value in seconds]
    p50, p90, p95, p99, p999 = percentiles(values, (50.0, 90.0, 95.0, 99.0, 99.9))
    return Latency(mean=fmean(values), p50=p50, p90=p90, p95=p95, p99=p99, p999=p999)


def with_process(row: Row, record: Record) -> Row:
    """The row with what any trial says of its process: the framework, the model's size, the GPU, memory.

    `peak_memory_mb` is live tensors on an accelerator and the host's peak on the CPU; `memory_source` says which.
    """
    readings = {reading.name: reading.bytes for reading in record.measured.memory}
    observed, peak = record.observed, peak_memory(record)
    if kind_of(record.trial.device) == "cpu":
        average, source = observed.host_average_bytes, "host resident"
    else:
        average, source = observed.device_average_bytes, "device: live tensors (peak), process (average)"
    return evolve(
        row,
        framework_version=record.measured.framework_version or None,
        num_parameters=record.measured.num_parameters,
        gpu_utilization_pct=observed.gpu_utilization_pct,
        peak_memory_mb=_mb(peak),
        avg_memory_mb=_mb(average),
        memory_source=source if peak is not None or average is not None else None,
        live_tensors_peak_mb=_mb(readings.get("live_tensors_peak")),
        pool_peak_mb=_mb(readings.get("pool_peak")),
        device_process_peak_mb=_mb(observed.device_peak_bytes),
        device_peak_max_mb=_mb(max(observed.device_peaks_bytes)) if len(observed.device_peaks_bytes) > 1 else None,
        host_peak_mb=_mb(readings.get("host_peak")),
        host_avg_mb=_mb(observed.host_average_bytes),
    )


def peak_memory(record: Record) -> int | None:
    """Bytes: live tensors on an accelerator, the process's resident memory on the CPU, at their highest."""
    readings = {reading.name: reading.bytes for reading in record.measured.memory}
    return readings.get("host_peak" if kind_of(record.trial.device) == "cpu" else "live_tensors_peak")


def power_w(record: Record) -> float | None:
    """Watts of the GPU on average: from the energy counter if it ran long enough, else as sampled."""
    gpu = record.observed.gpu if record.trial.num_nodes == 1 else {}
    energy = energy_j(record)
    return gpu.get("power_w") if energy is None else energy / gpu["energy_s"]


def energy_j(record: Record) -> float | None:
    """Joules of the GPU; None if they were counted for less than ENERGY_SECONDS, or if one of several nodes was watched."""
    gpu = record.observed.gpu if record.trial.num_nodes == 1 else {}
    return gpu.get("energy_j") if gpu.get("energy_s", 0.0) >= ENERGY_SECONDS else None


def _mb(size: float | None) -> float | None:
    return None if size is None else size / MB


def _with_time_to(row: Row, record: Record) -> Row:
    first = record.measured.first_step_s
    if not record.measured.values or first is None:
        return row
    step = record.seconds_per_step()
    return evolve(
        row,
        time_to_100_steps_s=time_to(100, first, step),
        time_to_1000_steps_s=time_to(1_000, first, step),
        time_to_10000_steps_s=time_to(10_000, first, step),
    )


def _with_bottleneck(row: Row, record: Record) -> Row:
    found = shares(record)
    if found is None:
        return row
    return evolve(
        row,
        data_wait_pct=100 * found.data,
        placement_pct=100 * found.placement,
        dispatch_pct=None if found.dispatch is None else 100 * found.dispatch,
        device_pct=100 * found.device,
        bottleneck=found.words,
    )


def _with_gpu(row: Row, record: Record) -> Row:
    sampled = record.observed.gpu.get("sm_utilization_pct")
    return evolve(row, sm_utilization_pct=sampled, power_w=power_w(record), energy_j=energy_j(record))
