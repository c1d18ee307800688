"""The table of docs/how-to/gpu.md, from the results of `gpu_reference`: `python -m benchmarks.gpu.reference_table`."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from benchmarks.tables import DOCS, put, table
from mlbench_core.record import Record
from mlbench_core.results.groups import grouped
from mlbench_core.results.merged import merged
from mlbench_core.results.storage import load

FILES = tuple(DOCS / "results" / "gpu" / name for name in ("resnet50_mlp.json", "resnet18_bert.json"))
HEAD = [
    "model",
    "precision",
    "PyTorch, samples/s",
    "JAX, samples/s",
    "JAX over PyTorch",
    "95 % interval",
    "blocks",
    "JAX is",
]


def text() -> str:
    """A row per model and precision: medians over blocks, and the comparison of training throughput."""
    results = merged([load(path) for path in FILES])
    arms = grouped(results.records, lambda record: (record.trial.model, record.trial.precision, record.trial.framework))
    speed = {arm: speed_of(records) for arm, records in arms.items()}
    found = {
        (one.group.model, one.group.precision): one.seen_from("jax")
        for one in results.comparisons
        if one.metric == "training throughput"
    }
    rows = []
    for model in ("mlp", "resnet18", "resnet50", "bert-base"):
        for precision in ("fp32", "tf32", "bf16", "fp16"):
            one = found[model, precision]
            assert one.ratio is not None
            low, high = one.ratio.low, one.ratio.high
            rows.append(
                [
                    model,
                    precision,
                    *(f"{speed[model, precision, framework]:,.0f}" for framework in ("pytorch", "jax")),
                    f"{one.ratio.value:.2f}",
                    "-" if low is None or high is None else f"{low:.2f} to {high:.2f}",
                    str(one.ratio.blocks),
                    one.verdict,
                ]
            )
    return table(HEAD, rows)


def speed_of(records: Iterable[Record]) -> float:
    """The median over blocks, in samples/s."""
    return median(record.trial.batch_size / record.seconds_per_step() for record in records)


if __name__ == "__main__":
    put("gpu_reference", text())
