"""Data sets: real ones by default, each loaded once, adapted to a model's input, and mapped by every worker."""

from __future__ import annotations

from mlbench_core.data.adapt import can_adapt, fitting
from mlbench_core.data.batches import batches, evaluation_batches
from mlbench_core.data.dataset import DataRequest, Dataset
from mlbench_core.data.prepare import Arrays, open_prepared, parse_name, prepare
from mlbench_core.hookspecs import DatasetDescriptor, hookimpl

__all__ = [
    "Arrays", "DataRequest", "Dataset", "batches", "can_adapt", "evaluation_batches", "fitting", "open_prepared", "parse_name",
    "prepare",
]  # fmt: skip


@hookimpl
def register_datasets() -> list[DatasetDescriptor]:
    """The data sets of the core."""
    here = "mlbench_core.data"
    return [
        DatasetDescriptor("digits", f"{here}.bundled:digits", "image", "handwritten digits, 8 x 8 (scikit-learn's)"),
        DatasetDescriptor(
            "digits-sequence", f"{here}.bundled:digits_sequence", "tokens", "the digits as 64 pixel tokens"
        ),
        DatasetDescriptor(
            "breast_cancer", f"{here}.bundled:breast_cancer", "vector", "30 measurements (scikit-learn's)"
        ),
        DatasetDescriptor(
            "cifar10", f"{here}.cifar10:cifar10", "image", "CIFAR-10, from --data-dir or downloaded once"
        ),
        DatasetDescriptor(
            "synthetic", f"{here}.synthetic:synthetic", "any", "learnable noise: synthetic:SHAPE/CLASSES@SAMPLES"
        ),
        DatasetDescriptor(
            "file", f"{here}.files:npz", "any", "a path to an .npz file with x_train, y_train, x_val, y_val"
        ),
    ]
