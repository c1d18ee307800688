"""Made results of a run with two variants of one framework."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from made import made

from mlbench_core import Results

OLD, NEW = "torch-2.12", "torch-2.13"
OF = {"jax": ("pytorch", OLD), "tensorflow": ("pytorch", NEW)}
"""What made() runs -> framework and label."""


def two_variants(**options: Any) -> Results:
    """PyTorch twice, as fast as made()'s jax and tensorflow are, beside the reference."""
    results = made(**({"frameworks": (*OF, "numpy"), "models": ["mlp"], "batch_sizes": [32]} | options))

    def renamed(one: Any) -> Any:
        framework, variant = OF.get(one.framework, (one.framework, ""))
        return evolve(one, framework=framework, variant=variant)

    return evolve(
        results,
        records=tuple(evolve(record, trial=renamed(record.trial)) for record in results.records),
        parity=tuple(map(renamed, results.parity)),
    )
