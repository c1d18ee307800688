"""Record -> metrics: what one training or inference record says, in the columns' units."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from mlbench_core.results.bottleneck import shares
from mlbench_core.results.flags import seconds_per_step
from mlbench_core.stats import shape
from mlbench_core.stats.percentiles import percentile
from mlbench_core.stats.time_to import STEPS, time_to
from mlbench_core.trial import Record

MB = 1e6
"""A megabyte is 10**6 bytes throughout."""
ENERGY_SECONDS = 10.0
"""Energy over a shorter time is not reported: the counter moves in steps."""


def training(record: Record) -> dict[str, Any]:
    """The columns of a training record; None where nothing was measured."""
    measured, steps = record.measured, 0
    if measured.calibration is not None:
        steps = measured.calibration.steps_per_value
    seconds = [epoch.seconds for epoch in measured.epochs]
    found = {
        "train_time_per_epoch": fmean(seconds) if seconds else None,
        "total_train_time": sum(seconds) if seconds else None,
        "samples_per_second": record.trial.batch_size * steps * len(measured.values) / sum(measured.values)
        if measured.values
        else None,
        "final_train_accuracy": measured.final_train_accuracy,
        "final_val_accuracy": measured.final_val_accuracy,
        "num_parameters": measured.num_parameters,
        "model_size_mb": _mb(measured.model_size_bytes),
        "gpu_utilization_pct": record.observed.gpu_utilization_pct,
        "first_step_s": measured.first_step_s,
        "framework_version": measured.framework_version or None,
        "outliers": shape.outliers(measured.values) if measured.values else None,
    }
    if measured.values and measured.first_step_s is not None:
        step = seconds_per_step(record)
        found |= {f"time_to_{n}_steps_s": time_to(n, measured.first_step_s, step) for n in STEPS}
    return found | _bottleneck(record) | _gpu(record) | latency("step_latency", measured.step_latencies)


def inference(record: Record) -> dict[str, Any]:
    """The columns of an inference record."""
    measured = record.measured
    rate = record.trial.batch_size / seconds_per_step(record) if measured.values else None
    return {"inference_samples_per_second": rate, **latency("inference_latency", measured.latencies)}


def latency(name: str, seconds: Sequence[float]) -> dict[str, Any]:
    """Mean and percentiles in ms, each percentile with its 95 % interval; None where there are too few values."""
    found: dict[str, Any] = {f"{name}_mean_ms": 1e3 * fmean(seconds) if seconds else None}
    for p in (50.0, 90.0, 95.0, 99.0, 99.9):
        key = f"{name}_p{p:g}".replace(".", "")
        known = percentile([1e3 * value for value in seconds], p)
        found |= {
            f"{key}_ms": known and known.value,
            f"{key}_low_ms": known and known.low,
            f"{key}_high_ms": known and known.high,
        }
    return found


def memory(record: Record) -> dict[str, Any]:
    """Named columns in MB. `peak_memory_mb` is live tensors on an accelerator and the host's peak on the CPU; `memory_source`
    says which."""
    readings = {reading.name: reading.bytes for reading in record.measured.memory}
    observed = record.observed
    if record.trial.device == "cpu":
        peak, average, source = readings.get("host_peak"), observed.host_average_bytes, "host resident"
    else:
        peak, average = readings.get("live_tensors_peak"), observed.device_average_bytes
        source = "device: live tensors (peak), process (average)"
    return {
        "peak_memory_mb": _mb(peak),
        "avg_memory_mb": _mb(average),
        "memory_source": source if peak is not None or average is not None else None,
        "live_tensors_peak_mb": _mb(readings.get("live_tensors_peak")),
        "pool_peak_mb": _mb(readings.get("pool_peak")),
        "device_process_peak_mb": _mb(observed.device_peak_bytes),
        "host_peak_mb": _mb(readings.get("host_peak")),
        "host_avg_mb": _mb(observed.host_average_bytes),
    }


def _mb(size: float | None) -> float | None:
    return None if size is None else size / MB


def _bottleneck(record: Record) -> dict[str, Any]:
    found = shares(record)
    if found is None:
        return {}
    return {
        "data_wait_pct": 100 * found.data,
        "placement_pct": 100 * found.placement,
        "dispatch_pct": None if found.dispatch is None else 100 * found.dispatch,
        "device_pct": 100 * found.device,
        "bottleneck": found.words,
    }


def _gpu(record: Record) -> dict[str, Any]:
    gpu = record.observed.gpu
    long_enough = gpu.get("energy_s", 0.0) >= ENERGY_SECONDS
    return {
        "sm_utilization_pct": gpu.get("sm_utilization_pct"),
        "power_w": gpu["energy_j"] / gpu["energy_s"] if long_enough else gpu.get("power_w"),
        "energy_j": gpu["energy_j"] if long_enough else None,
    }
