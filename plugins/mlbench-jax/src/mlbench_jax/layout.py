"""Between the tree's arrays and the module's: native = tree.transpose(axes).reshape(native shape)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import frozen

from mlbench_core.architecture import Shape
from mlbench_core.errors import PluginError
from mlbench_jax.lowering import Model


@frozen(kw_only=True)
class Layout:
    """How one parameter lies in the tree and in the module."""

    tree: Shape
    native: Shape
    axes: tuple[int, ...]
    trainable: bool

    def to_native(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A tree's array as the module's."""
        return array.transpose(self.axes).reshape(self.native)

    def to_tree(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The inverse of `to_native`; always a copy, since the module's arrays are donated to the next step."""
        turned = array.reshape([self.tree[axis] for axis in self.axes])
        return np.array(turned.transpose(np.argsort(self.axes)), order="C")


def layouts(model: Model) -> dict[str, Layout]:
    """The layout of every parameter and running statistic. Raises PluginError where the sizes differ."""
    found = {}
    for parameter in model.architecture.parameters():
        binding = model.bindings[parameter.name]
        if binding.native.size != parameter.size:
            raise PluginError(
                f"jax: {parameter.name} of shape {parameter.shape} is bound to a variable of shape {binding.native.shape}"
            )
        axes = binding.axes or tuple(range(len(parameter.shape)))
        found[parameter.name] = Layout(
            tree=parameter.shape, native=binding.native.shape, axes=axes, trainable=parameter.trainable
        )
    return found
