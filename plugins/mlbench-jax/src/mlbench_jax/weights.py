"""Between the tree's arrays and the module's variables."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import frozen
from flax import nnx

from mlbench_core.architecture import Binding, Parameter, Weights
from mlbench_core.errors import PluginError
from mlbench_jax.lowering import Model

Array = npt.NDArray[Any]
Place = tuple[str | int, ...]
"""Where a variable stands in the module, as nnx.split counts it."""


@frozen
class Layout:
    """The model's variables in three groups, by name.

    trained and running: the tree's parameters, by their paths. other: what the tree does not know, which is dropout's random
    state, with its values before the first step. places: name to the variable's place in the module.
    """

    trained: tuple[str, ...]
    running: tuple[str, ...]
    other: dict[str, Any]
    places: dict[str, Place]


def layout(model: Model) -> Layout:
    """Finds every bound variable in the module.

    Raises PluginError if bindings and parameter table differ, a binding is no variable of the module, or the module has
    parameters that nothing binds.
    """
    table = {parameter.name: parameter for parameter in model.architecture.parameters()}
    _require_same("the model binds", set(model.bindings), set(table))
    variables = {place: value for place, value in nnx.iter_graph(model.module) if isinstance(value, nnx.Variable)}
    by_identity = {id(variable): place for place, variable in variables.items()}
    lost = sorted(name for name, binding in model.bindings.items() if id(binding.native) not in by_identity)
    if lost:
        raise PluginError(f"jax: {', '.join(lost)} are bound to what is no variable of the model")
    places = {name: by_identity[id(binding.native)] for name, binding in model.bindings.items()}
    free = {place: variables[place] for place in variables.keys() - set(places.values())}
    extra = sorted("/".join(map(str, place)) for place, variable in free.items() if isinstance(variable, nnx.Param))
    if extra:
        raise PluginError(f"jax: the model has parameters that the tree does not know: {', '.join(extra)}")
    others = {"/".join(map(str, place)): place for place in free}
    return Layout(
        trained=tuple(name for name, parameter in table.items() if parameter.trainable),
        running=tuple(name for name, parameter in table.items() if not parameter.trainable),
        other={name: variables[place].get_value() for name, place in others.items()},
        places={**places, **others},
    )


def to_native(model: Model, weights: Weights, dtype: str) -> dict[str, Array]:
    """Arrays shaped as the bound variables. Raises PluginError for a missing, unknown or misshapen array."""
    table = {parameter.name: parameter for parameter in model.architecture.parameters()}
    _require_same("the weights hold", set(weights), set(table))
    natives = {}
    for name, parameter in table.items():
        value, binding = np.asarray(weights[name]), model.bindings[name]
        native = tuple(binding.native.shape)
        if value.shape != parameter.shape or value.size != np.prod(native):
            raise PluginError(
                f"jax: {name} has shape {parameter.shape} in the tree and {native} in the model; its weights have {value.shape}"
            )
        turned = value if binding.axes is None else value.transpose(binding.axes)
        natives[name] = turned.reshape(native).astype(dtype, copy=False)
    return natives


def to_tree(value: Any, parameter: Parameter, binding: Binding[Any]) -> Array:
    """A native array (the parameter or its gradient) in the tree's layout, on the host; always a copy."""
    array = np.asarray(value)
    if binding.axes is None:
        return np.array(array.reshape(parameter.shape), order="C")
    turned = array.reshape([parameter.shape[axis] for axis in binding.axes])
    return np.array(turned.transpose(np.argsort(binding.axes)), order="C")


def _require_same(what: str, names: set[str], table: set[str]) -> None:
    if names != table:
        missing, unknown = sorted(table - names), sorted(names - table)
        raise PluginError(f"jax: {what} other parameters than the tree: missing {missing}, unknown {unknown}")
