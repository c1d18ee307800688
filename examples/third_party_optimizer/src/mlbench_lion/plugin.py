"""What mlbench loads: the optimiser's descriptor, and nothing heavy."""

from mlbench_core.hookspecs import OptimizerDescriptor, hookimpl
from mlbench_core.trial import OptimizerSource

MODULES = {"numpy": "on_numpy", "pytorch": "on_torch", "tensorflow": "on_tf", "jax": "on_jax"}


@hookimpl
def register_optimizers() -> list[OptimizerDescriptor]:
    """One optimiser."""
    lowerings = {framework: f"mlbench_lion.{module}" for framework, module in MODULES.items()}
    source = OptimizerSource("mlbench_lion.rule:lion", lowerings)
    return [OptimizerDescriptor(name="lion", source=source, description="Lion, learning rate 2**-12, decay 2**-5")]
