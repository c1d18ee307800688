"""The table of docs/how-to/several-devices.md, from the results on two GPUs: `python -m benchmarks.gpu.scaling_table`."""

from __future__ import annotations

from benchmarks.gpu.reference_table import speed_of
from benchmarks.tables import DOCS, card_among, put, table
from mlbench_core.results import Results
from mlbench_core.results.groups import group_of
from mlbench_core.results.storage import load

FILES = tuple(
    DOCS / "results" / "gpu" / name
    for name in (
        "two_gpus_resnet50.json",
        "two_gpus_resnet50_h200.json",
        "two_gpus_resnet50_h200_tf.json",
        "two_gpus_bert.json",
        "two_gpus_bert_h200.json",
        "two_gpus_bert_h200_jax.json",
    )
)
HEAD = ["model", "batch per GPU", "card", "framework", "one GPU", "two", "of linear", "95 % interval", "blocks"]


def text() -> str:
    """A row per model and framework: medians over blocks in samples/s, and scaling efficiency."""
    return table(HEAD, [row for path in FILES for row in _rows(load(path))])


def _rows(results: Results) -> list[list[str]]:
    card = card_among(results.machines.values())
    rows = []
    for choice in results.choices:
        framework, part = choice.arm.split()[0], choice.efficiency
        speeds = [
            speed_of(
                record
                for record in results.records
                if record.trial.framework == framework and group_of(record.trial) == group
            )
            for group in (choice.base, choice.group)
        ]
        rows.append(
            [
                choice.group.model,
                str(choice.base.batch_size),
                card,
                framework,
                *(f"{speed:,.0f}" for speed in speeds),
                f"{100 * part.value:.1f} %",
                "-" if part.low is None or part.high is None else f"{100 * part.low:.1f} to {100 * part.high:.1f} %",
                str(part.blocks),
            ]
        )
    return rows


if __name__ == "__main__":
    put("two_gpus", text())
