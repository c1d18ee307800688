"""Records -> cells: one row of metrics per cell and block, from its training and its inference trial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mlbench_core.results import metrics
from mlbench_core.results.flags import arm_flags, seconds_per_step, trial_flags
from mlbench_core.results.peaks import data_sheet_peak, limit, measured_peaks
from mlbench_core.stats.time_to import STEPS
from mlbench_core.thresholds import Flags
from mlbench_core.trial import Flag, Record, Trial
from mlbench_core.verify.rungs import ACCURACY, Climb

CELL = ("framework", "model", "dataset", "device", "batch_size", "precision", "execution", "block")
PERCENTILES = ("p50", "p90", "p95", "p99", "p999")
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
    "flags",
    "outliers",
    "bottleneck",
    "data_wait_pct",
    "placement_pct",
    "dispatch_pct",
    "device_pct",
    *(f"time_to_{n}_steps_s" for n in STEPS),
    "mfu_pct",
    "mfu_data_sheet_pct",
    "measured_peak_tflops",
    "data_sheet_peak_tflops",
    "live_tensors_peak_mb",
    "pool_peak_mb",
    "device_process_peak_mb",
    "host_peak_mb",
    "host_avg_mb",
    "sm_utilization_pct",
    "power_w",
    "energy_j",
    "inference_samples_per_second",
    "inference_latency_p90_ms",
    "inference_latency_p999_ms",
    *(f"inference_latency_{p}_{end}_ms" for p in PERCENTILES for end in ("low", "high")),
    "step_latency_mean_ms",
    *(f"step_latency_{p}{end}_ms" for p in PERCENTILES for end in ("", "_low", "_high")),
)
COLUMNS = CELL + METRICS


def cells(records: Iterable[Record], environment: Mapping[str, Any], limits: Flags) -> list[dict[str, Any]]:
    """A row per training trial, joined with the inference trial of its cell; the keys of COLUMNS.

    Times in s or ms as the name says, memory in MB (10**6 bytes), accuracies in [0, 1], shares in percent; None where
    nothing was measured. Cells that differ only in the training batch size share one inference trial. `flags` is a list of
    Flag; a row with a rejected one has the status "rejected".
    """
    records = list(records)
    inference = {_shared(record.trial): record for record in records if record.trial.task == "infer"}
    arms: dict[Trial, list[Record]] = {}
    for record in records:
        arms.setdefault(record.trial.arm, []).append(record)
    together = {arm: arm_flags(group, limits) for arm, group in arms.items()}
    peaks = measured_peaks(records)
    rows = []
    for train in (record for record in records if record.trial.task == "train"):
        infer = inference.get(_shared(train.trial))
        row: dict[str, Any] = dict.fromkeys(COLUMNS)
        row |= {name: getattr(train.trial, name) for name in CELL}
        if train.measured.execution:
            row["execution"] = train.measured.execution  # what "default" turned out to be
        row |= metrics.training(train) | metrics.memory(train)
        if infer is not None:
            row |= metrics.inference(infer)
        row["status"], row["reason"] = _status(train, infer)
        row |= _efficiency(train, peaks.get((train.trial.device, train.trial.precision)), environment, limits)
        flags = [(record, flag) for record in (train, infer) if record for flag in trial_flags(record, limits)]
        flags += [(record, flag) for record in (train, infer) if record for flag in together[record.trial.arm]]
        row["flags"] += [Flag(flag.name, flag.level, f"{record.trial.task}: {flag.text}") for record, flag in flags]
        rejected = [flag for flag in row["flags"] if flag.level == "rejected"]
        if rejected and row["status"] == "ok":
            row["status"], row["reason"] = "rejected", rejected[0].text
        rows.append(row)
    return rows


def _shared(trial: Trial) -> tuple[Any, ...]:
    return tuple(getattr(trial, name) for name in CELL if name != "batch_size")


def _efficiency(record: Record, peak: float | None, environment: Mapping[str, Any], limits: Flags) -> dict[str, Any]:
    """MFU (Chowdhery et al. 2022, appendix B): FLOPs by the architecture / time / peak, for either peak that is known; and
    a flag if the speed is more than the device can do."""
    trial, measured = record.trial, record.measured
    sheet = data_sheet_peak(environment, trial.device, trial.precision)
    found: dict[str, Any] = {
        "measured_peak_tflops": None if peak is None else peak / 1e12,
        "data_sheet_peak_tflops": None if sheet is None else sheet / 1e12,
        "flags": [],
    }
    if not measured.values or not measured.flops_per_sample:
        return found
    rate = measured.flops_per_sample * trial.batch_size / seconds_per_step(record)
    found["mfu_pct"] = None if peak is None else 100 * rate / peak
    found["mfu_data_sheet_pct"] = None if sheet is None else 100 * rate / sheet
    most = limit(environment, trial, peak)
    if most is not None and rate > limits.mfu * most:
        text = (
            f"training: {rate / 1e12:.3g} TFLOP/s, and the device can do {most / 1e12:.3g} at most: was it waited for?"
        )
        found["flags"] = [Flag("impossible speed", "rejected", text)]
    return found


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
