"""Charts of single metrics: training time, throughput, memory, inference latency."""

from __future__ import annotations

from collections.abc import Callable

from mlbench_core.record import Record
from mlbench_core.report.charts.chart import Chart
from mlbench_core.report.charts.dots import BARS, dots, marks, plain
from mlbench_core.report.charts.series import points
from mlbench_core.report.charts.style import Look
from mlbench_core.results import Results
from mlbench_core.results.columns import count, decimal, whole
from mlbench_core.results.metrics import MB, peak_memory, samples_per_second
from mlbench_core.stats.percentiles import percentile


def training_time(results: Results, look: Look) -> Chart:
    """Seconds per epoch of real training, which the first block does."""

    def epoch(record: Record) -> float | None:
        epochs = record.measured.epochs
        return sum(one.seconds for one in epochs) / len(epochs) if epochs else None

    return dots(
        "training_time", "Time of an epoch of real training", plain(points(results, look, "train", epoch)), look,
        label="seconds per epoch",
        caption="Data loading and placement included. Less is better. Only the first block trains for real: no interval.",
        missing="Training for real fills it: num_epochs of at least 1.", show=decimal,
    )  # fmt: skip


def throughput(results: Results, look: Look) -> Chart:
    """Training samples per second."""
    return dots(
        "throughput", "Training throughput", plain(points(results, look, "train", samples_per_second)), look,
        label="samples per second", caption=f"Batches that are already on the device. More is better. {BARS}",
        missing="A training trial that ended well fills it.", show=count,
    )  # fmt: skip


def memory(results: Results, look: Look) -> Chart:
    """Peak memory of training."""

    def peak(record: Record) -> float | None:
        size = peak_memory(record)
        return None if size is None else size / MB

    return dots(
        "memory", "Peak memory of training", plain(points(results, look, "train", peak)), look, label="MB",
        caption="Live tensors on an accelerator, the process's resident memory on a CPU; a MB is a million bytes. Less is "
        f"better. {BARS}",
        missing="A training trial that ended well, on a system that tells a process's memory, fills it.", show=whole,
    )  # fmt: skip


def inference(results: Results, look: Look) -> Chart:
    """Median, 95th and 99th percentile of a query's latency."""
    found = [(f"p{p:g}", point) for p in (50.0, 95.0, 99.0) for point in points(results, look, "infer", latency(p))]
    return dots(
        "inference", "Inference latency", marks(found), look, label="milliseconds",
        caption=f"One query at a time, synchronised. Less is better. {BARS}",
        missing="Inference trials fill it: at least 11 queries for p50, 130 for p95, 662 for p99 (measure: queries).",
        show=decimal,
    )  # fmt: skip


def latency(p: float) -> Callable[[Record], float | None]:
    """A percentile of a record's latencies in ms; None where there are too few."""

    def value(record: Record) -> float | None:
        known = percentile(record.measured.latencies, p)
        return None if known is None else 1e3 * known.value

    return value
