"""The conformance kit on the three models; each is verified in every framework."""

from mlbench_core.testing.models import ModelConformance
from mlbench_example_models.plugin import register_models

VIT, CONVNEXT, GPT = register_models()
EVERY = ("numpy", "pytorch", "tensorflow", "jax")


class TestVit(ModelConformance):
    descriptor = VIT
    frameworks = EVERY


class TestConvnext(ModelConformance):
    descriptor = CONVNEXT
    frameworks = EVERY


class TestGpt(ModelConformance):
    descriptor = GPT
    frameworks = EVERY
