"""What mlbench loads: three descriptors, and nothing heavy."""

from mlbench_core.hookspecs import ModelDescriptor, hookimpl
from mlbench_core.trial import ModelSource

MODELS = "mlbench_example_models.models"
BY_HAND = {"pytorch": "mlbench_example_models.convnext_torch:build"}


@hookimpl
def register_models() -> list[ModelDescriptor]:
    """A ViT, a ConvNeXt that is written by hand for PyTorch, and a GPT-like classifier."""
    return [
        ModelDescriptor(
            name="vit-mini", source=ModelSource(f"{MODELS}:vit"), takes="image", min_image=8, verified_image=16,
            description="ViT of 2 blocks, 4x4 patches, the mean over tokens",
        ),
        ModelDescriptor(
            name="convnext-mini", source=ModelSource(f"{MODELS}:convnext", native=BY_HAND), takes="image",
            min_image=8, verified_image=16, description="ConvNeXt of 2 blocks; by hand in PyTorch",
        ),
        ModelDescriptor(
            name="gpt-mini", source=ModelSource(f"{MODELS}:gpt"), takes="tokens",
            description="decoder of 2 blocks that classifies: causal attention, RMSNorm, SwiGLU",
        ),
    ]  # fmt: skip
