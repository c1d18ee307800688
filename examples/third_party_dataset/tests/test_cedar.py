"""The conformance kit on cedar."""

from mlbench_cedar.plugin import register_datasets
from mlbench_core.testing.datasets import DatasetConformance


class TestCedar(DatasetConformance):
    descriptor = register_datasets()[0]
    data_dir = None  # TODO 4: a folder with a small part of your data, if `load` reads from one
