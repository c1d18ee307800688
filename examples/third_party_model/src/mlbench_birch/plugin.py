"""What mlbench loads: the model's descriptor, and nothing heavy."""

from mlbench_core.hookspecs import ModelDescriptor, hookimpl
from mlbench_core.trial import ModelSource


@hookimpl
def register_models() -> list[ModelDescriptor]:
    """One model."""
    # TODO 3: what it takes, "image", "vector" or "tokens"; for images also min_image, the smallest that it can take. A layer of
    # your own needs a lowering for each framework: ModelSource(..., lowerings={"numpy": "mlbench_birch.on_numpy"}).
    source = ModelSource("mlbench_birch.model:birch")
    return [ModelDescriptor(name="birch", source=source, takes="vector", description="a hidden layer of 64")]
