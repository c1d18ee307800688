"""ResNet-18, -34 and -50: He et al. 2015 (arXiv:1512.03385), in torchvision's structure.

ImageNet stem (7x7 stride 2, max pool), the stride of a bottleneck on its 3x3 convolution ("v1.5"), no zero-initialised scale.
Published trainable parameters with 1000 classes: 11,689,512, 21,797,672 and 25,557,032.
"""

from __future__ import annotations

from mlbench_core.architecture import (
    Activation,
    Architecture,
    BatchNorm,
    Conv2D,
    Dense,
    GlobalAveragePool2D,
    Layer,
    MaxPool2D,
    Optimizer,
    Residual,
    Sequential,
    Shape,
)


def _conv(features: int, kernel: int, stride: int = 1) -> Conv2D:
    return Conv2D(features, kernel, stride, padding=kernel // 2, use_bias=False)


def _shortcut(features: int, stride: int) -> Sequential:
    return Sequential({"conv": _conv(features, 1, stride), "bn": BatchNorm()})


def _basic(features: int, stride: int, project: bool) -> Sequential:
    """Two 3x3 convolutions; the output has `features` channels."""
    body = Sequential(
        {
            "conv1": _conv(features, 3, stride),
            "bn1": BatchNorm(),
            "relu": Activation("relu"),
            "conv2": _conv(features, 3),
            "bn2": BatchNorm(),
        }
    )
    shortcut = _shortcut(features, stride) if project else None
    return Sequential({"residual": Residual(body, shortcut), "relu": Activation("relu")})


def _bottleneck(features: int, stride: int, project: bool) -> Sequential:
    """1x1, 3x3, 1x1 convolutions; the output has 4 x `features` channels."""
    body = Sequential(
        {
            "conv1": _conv(features, 1),
            "bn1": BatchNorm(),
            "relu1": Activation("relu"),
            "conv2": _conv(features, 3, stride),
            "bn2": BatchNorm(),
            "relu2": Activation("relu"),
            "conv3": _conv(4 * features, 1),
            "bn3": BatchNorm(),
        }
    )
    shortcut = _shortcut(4 * features, stride) if project else None
    return Sequential({"residual": Residual(body, shortcut), "relu": Activation("relu")})


def resnet(
    name: str, input_shape: Shape, num_classes: int, depths: tuple[int, ...], bottleneck: bool, width: int = 64
) -> Architecture:
    """A ResNet with `depths[i]` blocks in stage i, of width x 2**i features. Input (height, width, channels) float.

    The learning rate suits small batches: on the digits at batch 32 it settles within three epochs, and runs that differ in
    rounding only ended 1.1 points apart at most (four seeds, two frameworks, one GPU).
    """
    block = _bottleneck if bottleneck else _basic
    layers: dict[str, Layer] = {
        "conv1": _conv(width, 7, 2),
        "bn1": BatchNorm(),
        "relu": Activation("relu"),
        "maxpool": MaxPool2D(3, 2, 1),
    }
    for stage, depth in enumerate(depths):
        first_stride = 1 if stage == 0 else 2
        first_projects = bottleneck or stage > 0
        blocks = [block(width * 2**stage, first_stride, first_projects)]
        blocks += [block(width * 2**stage, 1, False) for _ in range(depth - 1)]
        layers[f"layer{stage + 1}"] = Sequential(blocks)
    layers |= {"pool": GlobalAveragePool2D(), "head": Dense(num_classes)}
    optimizer = Optimizer(name="sgd", learning_rate=2**-9, momentum=0.9)
    return Architecture(
        name=name, root=Sequential(layers), input_shape=input_shape, num_classes=num_classes, optimizer=optimizer
    )


def resnet18(input_shape: Shape, num_classes: int) -> Architecture:
    """ResNet-18: 1.81 GMAC at 224 x 224 x 3 and 1000 classes."""
    return resnet("resnet18", input_shape, num_classes, (2, 2, 2, 2), bottleneck=False)


def resnet34(input_shape: Shape, num_classes: int) -> Architecture:
    """ResNet-34."""
    return resnet("resnet34", input_shape, num_classes, (3, 4, 6, 3), bottleneck=False)


def resnet50(input_shape: Shape, num_classes: int) -> Architecture:
    """ResNet-50 v1.5: 4.09 GMAC at 224 x 224 x 3 and 1000 classes."""
    return resnet("resnet50", input_shape, num_classes, (3, 4, 6, 3), bottleneck=True)
