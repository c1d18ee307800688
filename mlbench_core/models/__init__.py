"""The shipped models, each a function (input shape, number of classes) -> Architecture; and optimisers and a loss to ask
for by name."""

from __future__ import annotations

from mlbench_core.descriptors import Takes
from mlbench_core.hookspecs import LossDescriptor, ModelDescriptor, OptimizerDescriptor, hookimpl
from mlbench_core.trial import LossSource, ModelSource, OptimizerSource


def _model(name: str, module: str, takes: Takes, description: str, *aliases: str, **sizes: int) -> ModelDescriptor:
    source = ModelSource(f"mlbench_core.models.{module}:{name.replace('-', '_')}")
    return ModelDescriptor(name=name, source=source, takes=takes, description=description, aliases=aliases, **sizes)


@hookimpl
def register_models() -> list[ModelDescriptor]:
    """The models of the core. ResNets halve the image five times, so they get at least 32 x 32 pixels.

    ResNet-50 is verified on 34, where its last stage is 2x2. At 1x1 BatchNorm has only the batch's 16 values per channel,
    and so deep a model is ill-conditioned: the reference, its weights moved by 1e-15, parts from itself by 2e-8 in 25
    steps, and at 34 pixels by 6e-12.
    """
    return [
        _model("mlp", "mlp", "vector", "two hidden layers of 512, ReLU"),
        _model("resnet18", "resnet", "image", "ResNet-18, ImageNet stem", "cnn", min_image=32),
        _model("resnet34", "resnet", "image", "ResNet-34, ImageNet stem", min_image=32),
        _model("resnet50", "resnet", "image", "ResNet-50 v1.5, ImageNet stem", min_image=32, verified_image=34),
        _model("bert-tiny", "bert", "tokens", "BERT encoder, 2 layers of 128"),
        _model("bert-mini", "bert", "tokens", "BERT encoder, 4 layers of 256", "transformer"),
        _model("bert-base", "bert", "tokens", "BERT encoder, 12 layers of 768"),
    ]


@hookimpl
def register_optimizers() -> list[OptimizerDescriptor]:
    """The rules that every framework has; a model's own is one of them, with the model's numbers."""
    told = {"sgd": "SGD with momentum 0.9, learning rate 2**-7", "adamw": "AdamW, learning rate 2**-10, decay 2**-7"}
    return [
        OptimizerDescriptor(name=name, source=OptimizerSource(f"mlbench_core.models.rules:{name}"), description=text)
        for name, text in told.items()
    ]


@hookimpl
def register_losses() -> list[LossDescriptor]:
    """The loss that every framework has, and every model of the core."""
    source = LossSource("mlbench_core.models.losses:cross_entropy")
    return [LossDescriptor(name="cross-entropy", source=source, description="the mean softmax cross-entropy")]
