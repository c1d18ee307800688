"""The tables of docs/how-to/gpu.md, from the results of `gpu_reference`: `python -m benchmarks.gpu.reference_table`."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from benchmarks.tables import DOCS, card_among, put, table
from mlbench_core.record import Record
from mlbench_core.results import Results
from mlbench_core.results.groups import grouped
from mlbench_core.results.merged import merged
from mlbench_core.results.storage import load

ALL, TWO = ("mlp_bert", "resnet18", "resnet50"), ("resnet50_mlp", "resnet18_bert")
"""The files of the runs of three frameworks, and of the one before them, of two."""
CELLS = [
    (model, precision)
    for model in ("mlp", "resnet18", "resnet50", "bert-base")
    for precision in ("fp32", "tf32", "bf16", "fp16")
]
NAMES = {"pytorch": "PyTorch", "tensorflow": "TensorFlow", "jax": "JAX"}


def of(names: Iterable[str]) -> Results:
    """The results of files that share a matrix."""
    return merged([load(DOCS / "results" / "gpu" / f"{name}.json") for name in names])


def speeds() -> str:
    """A row per model and precision: the speed of each framework in samples/s, the median over the blocks that all have."""
    results = of(ALL)
    arms = grouped(results.records, lambda record: (record.trial.model, record.trial.precision, record.trial.framework))
    rows = []
    for cell in CELLS:
        found = [arms[*cell, framework] for framework in NAMES]
        blocks = set.intersection(*({record.trial.block for record in records} for records in found))
        known = (speed_of(record for record in records if record.trial.block in blocks) for records in found)
        card = card_among(results.machines[record.machine] for records in found for record in records)
        rows.append([*cell, card, *(f"{speed:,.0f}" for speed in known), str(len(blocks))])
    return table(["model", "precision", "card", *(f"{name}, samples/s" for name in NAMES.values()), "blocks"], rows)


def ratios() -> str:
    """A row per model and precision: the comparison of JAX with PyTorch by training throughput."""
    found = {
        (one.group.model, one.group.precision): one.seen_from("jax")
        for one in of(TWO).comparisons
        if one.metric == "training throughput"
    }
    rows = []
    for cell in CELLS:
        ratio = found[cell].ratio
        assert ratio is not None
        known = "-" if ratio.low is None or ratio.high is None else f"{ratio.low:.2f} to {ratio.high:.2f}"
        rows.append([*cell, f"{ratio.value:.2f}", known, str(ratio.blocks), found[cell].verdict])
    return table(["model", "precision", "JAX over PyTorch", "95 % interval", "blocks", "JAX is"], rows)


def speed_of(records: Iterable[Record]) -> float:
    """The median over blocks, in samples/s."""
    return median(record.trial.batch_size / record.seconds_per_step() for record in records)


if __name__ == "__main__":
    put("gpu_reference", speeds())
    put("gpu_ratios", ratios())
