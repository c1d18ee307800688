"""What mlbench loads: the model's descriptor, and nothing heavy."""

from mlbench_core.hookspecs import ModelDescriptor, hookimpl
from mlbench_core.trial import ModelSource

MODULES = {"numpy": "on_numpy", "pytorch": "on_torch", "tensorflow": "on_tf", "jax": "on_jax"}


@hookimpl
def register_models() -> list[ModelDescriptor]:
    """One model."""
    lowerings = {framework: f"mlbench_prelu.{module}" for framework, module in MODULES.items()}
    source = ModelSource("mlbench_prelu.layer:cnn", lowerings)
    return [
        ModelDescriptor(
            name="prelu-cnn", source=source, takes="image", verified_image=8, description="two convolutions with PReLU"
        )
    ]
