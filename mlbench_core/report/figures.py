"""The figures by which a trial is told of as soon as it has ended, before there are rows."""

from __future__ import annotations

import math

from mlbench_core.record import Record
from mlbench_core.results import metrics


def figures(record: Record) -> dict[str, float]:
    """What a trial measured, by the names of `results.row.COLUMNS`; what it did not measure is absent."""
    if record.status != "ok":
        return {}
    if record.trial.task == "infer":
        found = metrics.inference(record)
        told = {
            "inference_samples_per_second": found.samples_per_second,
            "inference_latency_mean_ms": None if found.latency is None else found.latency.mean,
        }
    else:
        measured = record.measured
        told = {
            "samples_per_second": metrics.samples_per_second(record),
            "first_step_s": measured.first_step_s,
            "total_train_time": sum(epoch.seconds for epoch in measured.epochs) if measured.epochs else None,
            "final_val_accuracy": measured.final_val_accuracy,
        }
    return {name: value for name, value in told.items() if value is not None and math.isfinite(value)}


def main_figure(record: Record) -> str:
    """In words: the throughput of training, the mean latency of inference; empty if there is none."""
    known = figures(record)
    if "samples_per_second" in known:
        return f"{known['samples_per_second']:,.0f} samples/s"
    if "inference_latency_mean_ms" in known:
        return f"{known['inference_latency_mean_ms']:.3g} ms per query"
    return ""


def own_seconds(record: Record) -> float:
    """How long the trial took by itself: without the turns in which it waited for others."""
    return record.observed.wall_s - record.measured.phases.get("waiting", 0.0)
