"""The conformance kit on birch."""

from mlbench_birch.plugin import register_models
from mlbench_core.testing.models import ModelConformance


class TestBirch(ModelConformance):
    descriptor = register_models()[0]
    frameworks = ("numpy",)  # TODO 4: those that you have installed, to have it verified in each
