"""What comes with the core passes the kits that third parties pass: its models, data sets, optimisers, loss, reporters and
the executor."""

from __future__ import annotations

from typing import Any

import pytest

from mlbench_core import data, models
from mlbench_core.executors import local
from mlbench_core.plugins import attribute
from mlbench_core.report import files, parity, reporter
from mlbench_core.testing.datasets import DatasetConformance
from mlbench_core.testing.executors import ExecutorConformance
from mlbench_core.testing.losses import LossConformance
from mlbench_core.testing.models import ModelConformance
from mlbench_core.testing.optimizers import OptimizerConformance
from mlbench_core.testing.reporters import ReporterConformance


def named(name: str, descriptors: list[Any]) -> Any:
    (found,) = (each for each in descriptors if each.name == name)
    return found


class TestMlp(ModelConformance):
    descriptor = named("mlp", models.register_models())


class TestBertTiny(ModelConformance):
    descriptor = named("bert-tiny", models.register_models())


class TestThirdPartysLayer(ModelConformance):
    (descriptor,) = attribute("mlbench_shift.plugin:register_models")()


@pytest.mark.parametrize("descriptor", models.register_models(), ids=lambda each: each.name)
def test_every_model_is_what_it_says(descriptor: Any) -> None:
    kit = type("Kit", (ModelConformance,), {"descriptor": descriptor})()
    kit.test_descriptor()
    kit.test_the_factory_makes_what_it_is_asked_for()
    kit.test_the_factory_makes_the_same_again()


class TestSgd(OptimizerConformance):
    descriptor = named("sgd", models.register_optimizers())


class TestAdamw(OptimizerConformance):
    descriptor = named("adamw", models.register_optimizers())


class TestCrossEntropy(LossConformance):
    (descriptor,) = models.register_losses()


class TestDigits(DatasetConformance):
    descriptor = named("digits", data.register_datasets())


class TestDigitsSequence(DatasetConformance):
    descriptor = named("digits-sequence", data.register_datasets())


class TestBreastCancer(DatasetConformance):
    descriptor = named("breast_cancer", data.register_datasets())


class TestSynthetic(DatasetConformance):
    descriptor = named("synthetic", data.register_datasets())


class TestJson(ReporterConformance):
    descriptor = named("json", files.register_reporters())


class TestCsv(ReporterConformance):
    descriptor = named("csv", files.register_reporters())


class TestParity(ReporterConformance):
    descriptor = named("parity", parity.register_reporters())


class TestReport(ReporterConformance):
    descriptor = named("report", reporter.register_reporters())
    needs_file = True


class TestLocal(ExecutorConformance):
    descriptor = named("local", local.register_executors())
