"""Records -> cells: one row of metrics per cell and block, from its training and its inference trial."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean
from typing import Any

from mlbench_core.stats.percentiles import percentile
from mlbench_core.trial import Record, Trial
from mlbench_core.verify.rungs import ACCURACY, Climb

MB = 1e6
"""A megabyte is 10**6 bytes throughout."""

CELL = ("framework", "model", "dataset", "device", "batch_size", "precision", "execution", "block")
METRICS = (
    "train_time_per_epoch",
    "total_train_time",
    "samples_per_second",
    "peak_memory_mb",
    "avg_memory_mb",
    "memory_source",
    "final_train_accuracy",
    "final_val_accuracy",
    "num_parameters",
    "model_size_mb",
    "inference_latency_mean_ms",
    "inference_latency_p50_ms",
    "inference_latency_p95_ms",
    "inference_latency_p99_ms",
    "gpu_utilization_pct",
    "first_step_s",
    "framework_version",
    "parity",
    "status",
    "reason",
)
COLUMNS = CELL + METRICS


def cells(records: Iterable[Record]) -> list[dict[str, Any]]:
    """A row per training trial, joined with the inference trial of its cell; the keys of COLUMNS.

    Times in s or ms as the name says, memory in MB (10**6 bytes), accuracies in [0, 1], utilisation in percent; None where
    nothing was measured. Cells that differ only in the training batch size share one inference trial.
    """
    records = list(records)
    inference = {_shared(record.trial): record for record in records if record.trial.task == "infer"}
    return [_row(r, inference.get(_shared(r.trial))) for r in records if r.trial.task == "train"]


def _shared(trial: Trial) -> tuple[Any, ...]:
    return tuple(getattr(trial, name) for name in CELL if name != "batch_size")


def _row(train: Record, infer: Record | None) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {name: getattr(train.trial, name) for name in CELL}
    if train.measured.execution:
        row["execution"] = train.measured.execution  # what "default" turned out to be
    row |= _training(train) | _memory(train)
    if infer is not None:
        row |= _latency(infer)
    row["status"], row["reason"] = _status(train, infer)
    return row


def _training(record: Record) -> dict[str, Any]:
    measured = record.measured
    seconds = [epoch.seconds for epoch in measured.epochs]
    samples = record.trial.batch_size * (measured.steps_per_value or 0) * len(measured.values)
    return {
        "train_time_per_epoch": fmean(seconds) if seconds else None,
        "total_train_time": sum(seconds) if seconds else None,
        "samples_per_second": samples / sum(measured.values) if measured.values else None,
        "final_train_accuracy": measured.final_train_accuracy,
        "final_val_accuracy": measured.final_val_accuracy,
        "num_parameters": measured.num_parameters,
        "model_size_mb": None if measured.model_size_bytes is None else measured.model_size_bytes / MB,
        "gpu_utilization_pct": record.observed.gpu_utilization_pct,
        "first_step_s": measured.first_step_s,
        "framework_version": measured.framework_version or None,
    }


def _memory(record: Record) -> dict[str, Any]:
    """Live tensors on an accelerator, the process's resident memory on a CPU; `memory_source` says which."""
    readings = {reading.name: reading.bytes for reading in record.measured.memory}
    if record.trial.device == "cpu":
        peak, average, source = readings.get("host_peak"), record.observed.host_average_bytes, "host resident"
    else:
        peak, average = readings.get("live_tensors_peak"), record.observed.device_average_bytes
        source = "device: live tensors (peak), process (average)"
    return {
        "peak_memory_mb": None if peak is None else peak / MB,
        "avg_memory_mb": None if average is None else average / MB,
        "memory_source": source if peak is not None or average is not None else None,
    }


def _latency(record: Record) -> dict[str, Any]:
    ms = [1e3 * seconds for seconds in record.measured.latencies]
    return {
        "inference_latency_mean_ms": fmean(ms) if ms else None,
        "inference_latency_p50_ms": percentile(ms, 50.0),
        "inference_latency_p95_ms": percentile(ms, 95.0),
        "inference_latency_p99_ms": percentile(ms, 99.0),
    }


def _status(train: Record, infer: Record | None) -> tuple[str, str]:
    for record in (train, infer):
        if record is None:
            return "incomplete", "infer: the run ended before this trial"
        if record.status != "ok":
            return record.status, f"{record.trial.task}: {record.reason}"
    return "ok", ""


def judged(rows: list[dict[str, Any]], climbs: Iterable[Climb]) -> list[dict[str, Any]]:
    """The rows with their `parity`: "verified", "unverified", or "not comparable: ..." with the reason.

    The last rung is climbed here: where the final validation accuracies of a cell's frameworks lie further apart than
    `rungs.ACCURACY`, none of them is comparable.
    """
    found = {(climb.framework, climb.model, climb.device): climb for climb in climbs}
    for row in rows:
        climb = found.get((row["framework"], row["model"], row["device"]))
        failure = climb.first_failure() if climb else None
        row["parity"] = climb.verdict if climb else "unverified"
        if climb and failure and climb.verdict == "failed":
            row["parity"] = f"not comparable: {failure.describe()}"
    for group in comparable_groups(rows):
        spread = accuracy_spread(group)
        if spread is not None and spread > ACCURACY:
            for row in group:
                if row["parity"] == "verified":
                    row["parity"] = f"not comparable: final validation accuracies {100 * spread:.1f} points apart"
    return rows


def comparable_groups(rows: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The rows that are compared with one another: alike in all but framework and execution."""
    grouped: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        key = tuple(row[name] for name in CELL if name not in ("framework", "execution"))
        grouped.setdefault(key, []).append(row)
    return list(grouped.values())


def accuracy_spread(group: Iterable[dict[str, Any]]) -> float | None:
    """The largest minus the smallest final validation accuracy, in [0, 1]; None with fewer than two of them."""
    known = [row["final_val_accuracy"] for row in group if row["final_val_accuracy"] is not None]
    return max(known) - min(known) if len(known) > 1 else None
