"""What mlbench finds in this folder: a model, a data set, an optimiser, and four hooks that tell how a run goes on."""

from pathlib import Path

import numpy as np

from mlbench_core.architecture import Activation, Architecture, Dense, Optimizer, Sequential, Shape
from mlbench_core.data import DataRequest, Dataset
from mlbench_core.finished import FinishedRun
from mlbench_core.hookspecs import DatasetDescriptor, ModelDescriptor, OptimizerDescriptor, hookimpl
from mlbench_core.record import Record
from mlbench_core.trial import ModelSource, OptimizerSource, Trial

SAMPLES, CLASSES = 1200, 3
LOG = Path("trials.log")


def narrow(input_shape: Shape, num_classes: int) -> Architecture:
    """A hidden layer of 32."""
    root = Sequential({"hidden": Dense(32), "tanh": Activation("tanh"), "head": Dense(num_classes)})
    rule = Optimizer(name="sgd", learning_rate=2**-5)
    return Architecture(name="narrow", root=root, input_shape=input_shape, num_classes=num_classes, optimizer=rule)


def spirals(request: DataRequest) -> Dataset:
    """Points of three arms that turn around each other, in a plane."""
    random = np.random.default_rng(request.seed)
    labels = np.arange(SAMPLES, dtype=np.int32) % CLASSES
    radius = random.uniform(0.1, 1, SAMPLES)
    angle = 4 * radius + 2 * np.pi / CLASSES * labels + random.normal(0, 0.1, SAMPLES)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).astype(np.float32)
    train = SAMPLES * 4 // 5
    return Dataset(
        name="spirals",
        kind="vector",
        x_train=points[:train],
        y_train=labels[:train],
        x_val=points[train:],
        y_val=labels[train:],
        num_classes=CLASSES,
    )


def careful() -> Optimizer:
    """AdamW with a small step."""
    return Optimizer(name="adamw", learning_rate=2**-9)


@hookimpl
def register_models() -> list[ModelDescriptor]:
    """One model; its import string names this file."""
    source = ModelSource("mlbenchfile:narrow")
    return [ModelDescriptor(name="narrow", source=source, takes="vector", description="a hidden layer of 32")]


@hookimpl
def register_datasets() -> list[DatasetDescriptor]:
    """One data set. It reads no files, so it is made again only when its code changes."""
    return [
        DatasetDescriptor(
            name="spirals", load="mlbenchfile:spirals", files="mlbench_core.data:no_files", kind="vector",
            description="three arms of points in a plane",
        )
    ]  # fmt: skip


@hookimpl
def register_optimizers() -> list[OptimizerDescriptor]:
    """One optimiser, of a rule that every framework has."""
    return [
        OptimizerDescriptor(name="careful", source=OptimizerSource("mlbenchfile:careful"), description="AdamW, slow")
    ]


def tell(line: str) -> None:
    """Appends to a file; it could be a message to somebody."""
    with LOG.open("a", encoding="utf-8") as log:
        log.write(line.strip() + "\n")


@hookimpl
def run_started(trials: tuple[Trial, ...], resumed: bool) -> None:
    """How much there is to do."""
    tell(f"the run {'goes on' if resumed else 'begins'}: {len(trials)} trials")


@hookimpl
def trial_started(trial: Trial) -> None:
    """What is measured from now on."""
    tell(f"{trial.label}: started")


@hookimpl
def trial_finished(record: Record) -> None:
    """How that has ended."""
    tell(f"{record.trial.label}: {record.status} {record.reason}")


@hookimpl
def run_finished(results: FinishedRun) -> None:
    """What the run has found, as sentences."""
    sentences = [comparison.describe() for comparison in results.comparisons]
    Path("findings.txt").write_text("\n".join(sentences) + "\n", encoding="utf-8")
