"""The conformance kit on the model; the layer is taken apart in it, and verified in every framework."""

from mlbench_core.testing.models import ModelConformance
from mlbench_prelu.plugin import register_models


class TestPreluCnn(ModelConformance):
    descriptor = register_models()[0]
    frameworks = ("numpy", "pytorch", "tensorflow", "jax")
