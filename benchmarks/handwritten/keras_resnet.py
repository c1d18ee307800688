"""ResNet-18 as a functional Keras model, which the loops for the CPU and for a GPU train."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers


def conv_norm(x: Any, filters: int, kernel: int, strides: int = 1) -> Any:
    """A convolution without bias, padded by half the kernel on each side, and a batch normalisation."""
    if strides > 1 and kernel > 1:  # "same" would pad unevenly here
        x = layers.ZeroPadding2D(kernel // 2)(x)
        x = layers.Conv2D(filters, kernel, strides, use_bias=False)(x)
    else:
        x = layers.Conv2D(filters, kernel, strides, padding="same", use_bias=False)(x)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


def basic_block(x: Any, filters: int, strides: int) -> Any:
    """Two 3x3 convolutions beside a shortcut, which projects where the shape changes."""
    shortcut = x
    if strides != 1 or x.shape[-1] != filters:
        shortcut = conv_norm(x, filters, 1, strides)
    x = layers.ReLU()(conv_norm(x, filters, 3, strides))
    x = conv_norm(x, filters, 3)
    return layers.ReLU()(layers.Add()([x, shortcut]))


def resnet18(input_shape: tuple[int, ...], num_classes: int) -> keras.Model:
    """ResNet-18 with the ImageNet stem. Zeros may pad the pool, because nothing is negative after the ReLU."""
    inputs = keras.Input(input_shape)
    x = layers.ReLU()(conv_norm(inputs, 64, 7, 2))
    x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))
    for filters, strides in ((64, 1), (128, 2), (256, 2), (512, 2)):
        x = basic_block(x, filters, strides)
        x = basic_block(x, filters, 1)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(num_classes, dtype="float32")(x))
