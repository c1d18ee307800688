"""The shipped models, each a function (input shape, number of classes) -> Architecture."""

from __future__ import annotations

from mlbench_core.hookspecs import ModelDescriptor, hookimpl
from mlbench_core.trial import ModelSource


def _model(name: str, module: str, takes: str, description: str, *aliases: str, min_image: int = 1) -> ModelDescriptor:
    source = ModelSource(f"mlbench_core.models.{module}:{name.replace('-', '_')}")
    return ModelDescriptor(name, source, takes, description, aliases, min_image=min_image)


@hookimpl
def register_models() -> list[ModelDescriptor]:
    """The models of the core. ResNets halve the image five times, so they get at least 32 x 32 pixels."""
    return [
        _model("mlp", "mlp", "vector", "two hidden layers of 512, ReLU"),
        _model("resnet18", "resnet", "image", "ResNet-18, ImageNet stem", "cnn", min_image=32),
        _model("resnet34", "resnet", "image", "ResNet-34, ImageNet stem", min_image=32),
        _model("resnet50", "resnet", "image", "ResNet-50 v1.5, ImageNet stem", min_image=32),
        _model("bert-tiny", "bert", "tokens", "BERT encoder, 2 layers of 128"),
        _model("bert-mini", "bert", "tokens", "BERT encoder, 4 layers of 256", "transformer"),
        _model("bert-base", "bert", "tokens", "BERT encoder, 12 layers of 768"),
    ]
