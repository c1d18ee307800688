"""Data sets: real ones by default, each loaded once, adapted to a model's input, and mapped by every worker."""

from __future__ import annotations

from mlbench_core.data.adapt import can_adapt, fitting
from mlbench_core.data.batches import batches, evaluation_batches
from mlbench_core.data.dataset import DataRequest, Dataset, no_files
from mlbench_core.data.prepare import Arrays, open_prepared, parse_name, prepare
from mlbench_core.hookspecs import DatasetDescriptor, hookimpl

__all__ = [
    "Arrays", "DataRequest", "Dataset", "batches", "can_adapt", "evaluation_batches", "fitting", "no_files", "open_prepared",
    "parse_name", "prepare",
]  # fmt: skip


@hookimpl
def register_datasets() -> list[DatasetDescriptor]:
    """The data sets of the core."""
    here = "mlbench_core.data"
    return [
        DatasetDescriptor(
            name="digits",
            load=f"{here}.bundled:digits",
            kind="image",
            description="handwritten digits, 8 x 8 (scikit-learn's)",
            files=f"{here}.dataset:no_files",
        ),
        DatasetDescriptor(
            name="digits-sequence",
            load=f"{here}.bundled:digits_sequence",
            kind="tokens",
            description="the digits as 64 pixel tokens",
            files=f"{here}.dataset:no_files",
        ),
        DatasetDescriptor(
            name="breast_cancer",
            load=f"{here}.bundled:breast_cancer",
            kind="vector",
            description="30 measurements (scikit-learn's)",
            files=f"{here}.dataset:no_files",
        ),
        DatasetDescriptor(
            name="cifar10",
            load=f"{here}.cifar10:cifar10",
            kind="image",
            description="CIFAR-10, from --data-dir or downloaded once",
            files=f"{here}.cifar10:data_files",
        ),
        DatasetDescriptor(
            name="synthetic",
            load=f"{here}.synthetic:synthetic",
            kind="any",
            description="learnable noise: synthetic:SHAPE/CLASSES@SAMPLES",
            files=f"{here}.dataset:no_files",
        ),
        DatasetDescriptor(
            name="file",
            load=f"{here}.files:npz",
            kind="any",
            description="a path to an .npz file with x_train, y_train, x_val, y_val",
            files=f"{here}.files:npz_file",
        ),
    ]
