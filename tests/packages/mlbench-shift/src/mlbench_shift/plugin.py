"""What the parent loads: the model's descriptor, and nothing heavy."""

from mlbench_core.hookspecs import ModelDescriptor, hookimpl
from mlbench_core.trial import ModelSource

FRAMEWORKS = {"numpy": "on_numpy", "pytorch": "on_torch", "tensorflow": "on_tf", "jax": "on_jax"}


@hookimpl
def register_models() -> list[ModelDescriptor]:
    source = ModelSource(
        "mlbench_shift.model:shift_mlp",
        lowerings={framework: f"mlbench_shift.{module}" for framework, module in FRAMEWORKS.items()},
    )
    return [ModelDescriptor(name="shift-mlp", source=source, takes="vector", description="an MLP with a cyclic shift")]
