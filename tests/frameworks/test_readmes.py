"""The layer that each plugin's README lowers: its code, as it stands there, is verified against the reference."""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import ROOT, blocks, run

LAYERS = '''
import numpy as np
from attrs import frozen

from mlbench_core.architecture import Architecture, Constant, Dense, Layer, Optimizer, Parameter, Sequential
from mlbench_core.reference.lowering import lower
from mlbench_core.reference.module import Module, Variable


@frozen
class Scale(Layer):
    def parameters(self, shape):
        return (Parameter("scale", shape[-1:], Constant(2.0)),)


@frozen
class Mix(Layer):
    def parameters(self, shape):
        return (Parameter("kernel", (shape[-1], shape[-1]), Constant(0.5)),)


class Times(Module):
    """x * scale, or x @ kernel.T."""

    def __init__(self, variable, mixes):
        self.variable, self.mixes = variable, mixes

    def forward(self, x, mode):
        self.x = x
        return x @ self.variable.value.T if self.mixes else x * self.variable.value

    def backward(self, dy):
        self.variable.grad = dy.T @ self.x if self.mixes else (dy * self.x).sum(0)
        return dy @ self.variable.value if self.mixes else dy * self.variable.value


def on_numpy():
    @lower.register
    def _(layer: Scale, site):
        return made(layer, site, False)

    @lower.register
    def _(layer: Mix, site):
        return made(layer, site, True)


def made(layer, site, mixes):
    (parameter,) = layer.parameters(site.shape)
    variable = Variable(parameter.shape)
    site.bind(parameter.name, variable)
    return Times(variable, mixes)


def model(layer, input_shape, num_classes):
    root = Sequential({"own": layer, "head": Dense(num_classes)})
    rule = Optimizer(name="sgd", learning_rate=2**-6)
    return Architecture(name="own", root=root, input_shape=input_shape, num_classes=num_classes, optimizer=rule)


def scaled(input_shape, num_classes):
    return model(Scale(), input_shape, num_classes)


def mixed(input_shape, num_classes):
    return model(Mix(), input_shape, num_classes)
'''
PLUGIN = """
from mlbench_core import hookimpl
from mlbench_core.hookspecs import ModelDescriptor
from mlbench_core.trial import ModelSource


@hookimpl
def register_models():
    source = ModelSource(
        "my_models.layers:FACTORY", lowerings={"numpy": "my_models.layers:on_numpy", "FRAMEWORK": "my_models.native"}
    )
    return [ModelDescriptor(name="own", source=source, takes="vector", description="")]
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("plugin", "framework", "factory"),
    [("torch", "pytorch", "scaled"), ("tf", "tensorflow", "mixed"), ("jax", "jax", "scaled")],
)
def test_the_layer_of_the_readme(plugin: str, framework: str, factory: str, tmp_path: Path) -> None:
    (code,) = (b.text for b in blocks(ROOT / "plugins" / f"mlbench-{plugin}" / "README.md") if b.language == "python")
    package = tmp_path / "my_models"
    package.mkdir()
    (package / "__init__.py").write_text("from my_models.layers import Mix, Scale")
    (package / "layers.py").write_text(LAYERS)
    (package / "native.py").write_text(code)
    (tmp_path / "mlbenchfile.py").write_text(PLUGIN.replace("FACTORY", factory).replace("FRAMEWORK", framework))
    printed = run(["mlbench", "verify", "--models", "own", "--frameworks", framework], tmp_path)
    assert f"verified   {framework} own cpu" in printed
