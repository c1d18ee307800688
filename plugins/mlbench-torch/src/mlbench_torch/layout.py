"""Between the tree's arrays and the module's tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from attrs import evolve
from torch import Tensor, nn

from mlbench_core.architecture import Binding, Parameter, Weights
from mlbench_core.errors import PluginError
from mlbench_torch.lowering import Model


def place(model: Model, device: torch.device, dtype: torch.dtype) -> Model:
    """The model on the device and in the type, images in channels_last, with its bindings checked.

    Raises PluginError if bindings and parameter table differ, or the module trains what the tree does not know.
    """
    table = {parameter.name: parameter for parameter in model.architecture.parameters()}
    _require_same("the model binds", set(model.bindings), set(table))
    # Module.to() may put new tensors in the place of old ones, so each binding finds its tensor again by its name.
    names = {id(tensor): name for name, tensor in _tensors(model.module).items()}
    lost = sorted(path for path, binding in model.bindings.items() if id(binding.native) not in names)
    if lost:
        raise PluginError(
            f"pytorch: {', '.join(lost)} are bound to tensors that are no parameters or buffers of the model"
        )
    # mypy takes the overload without a device for the only one with memory_format.
    module: nn.Module = model.module.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    tensors = _tensors(module)
    bindings = {path: evolve(b, native=tensors[names[id(b.native)]]) for path, b in model.bindings.items()}
    bound = {id(binding.native) for binding in bindings.values()}
    extra = sorted(name for name, parameter in module.named_parameters() if id(parameter) not in bound)
    if extra:
        raise PluginError(f"pytorch: the model has parameters that the tree does not know: {', '.join(extra)}")
    return Model(model.architecture, module, bindings)


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _require_same(what: str, names: set[str], table: set[str]) -> None:
    if names != table:
        missing, unknown = sorted(table - names), sorted(names - table)
        raise PluginError(f"pytorch: {what} other parameters than the tree: missing {missing}, unknown {unknown}")


@torch.no_grad()
def write(model: Model, weights: Weights) -> None:
    """Copies the arrays into the module's tensors. Raises PluginError for a missing, unknown or misshapen array."""
    table = {parameter.name: parameter for parameter in model.architecture.parameters()}
    _require_same("the weights hold", set(weights), set(table))
    for path, binding in model.bindings.items():
        value, native = np.asarray(weights[path]), binding.native
        if value.shape != table[path].shape or value.size != native.numel():
            raise PluginError(
                f"pytorch: {path} has shape {table[path].shape} in the tree and {tuple(native.shape)} in the model; "
                f"its weights have {value.shape}"
            )
        turned = value if binding.axes is None else value.transpose(binding.axes)
        native.copy_(torch.from_numpy(np.array(turned, order="C")).reshape(native.shape))


def to_tree(tensor: Tensor, parameter: Parameter, binding: Binding[Tensor]) -> npt.NDArray[Any]:
    """A tensor shaped as the binding's (the parameter or its gradient), as an array of the tree's layout; always a copy."""
    array = tensor.detach().cpu().numpy()
    if binding.axes is None:
        return np.array(array.reshape(parameter.shape), order="C")
    turned = array.reshape([parameter.shape[axis] for axis in binding.axes])
    return np.array(turned.transpose(np.argsort(binding.axes)), order="C")
