"""The charts of the report: pure functions of results."""

from __future__ import annotations

from mlbench_core.report.charts import metrics, ratios, sizes, times
from mlbench_core.report.charts.chart import Chart, Figures
from mlbench_core.report.charts.forest import forest
from mlbench_core.report.charts.pareto import throughput_latency
from mlbench_core.report.charts.style import look_of
from mlbench_core.results import Results

__all__ = ["Chart", "Figures", "charts"]

KINDS = (
    forest, metrics.throughput, metrics.training_time, metrics.inference, metrics.memory, times.memory_over_time,
    sizes.batch_size, ratios.gpu_vs_cpu, ratios.precision, ratios.scaling, times.compile_crossover, throughput_latency,
    times.step_times,
)  # fmt: skip


def charts(results: Results) -> list[Chart]:
    """Every chart, in the order of the report; one with nothing to show says what would fill it."""
    look = look_of(record.trial for record in results.records)
    return [kind(results, look) for kind in KINDS]
