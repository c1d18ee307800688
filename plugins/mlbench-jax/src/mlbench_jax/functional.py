"""An NNX model as pure functions of plain dicts of arrays.

The module is split once; what a compiled step takes and returns are dicts of arrays, which JAX flattens in C++, and the
module is put together again only while a function is traced. So a step costs what hand-written JAX costs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
from attrs import frozen
from flax import nnx

from mlbench_core.errors import PluginError
from mlbench_jax.lowering import Model

Arrays = dict[str, jax.Array]
Path = tuple[str | int, ...]


class Variables(NamedTuple):
    """Everything a model holds.

    params: trained, by path in the tree. stats: running statistics, by path in the tree. rest: whatever else the module
    keeps (dropout's keys and counts), by path in the module.
    """

    params: Arrays
    stats: Arrays
    rest: Arrays


@frozen
class Network:
    """A model's two graphs, for training and for evaluation, and where in them every array belongs.

    initial: the module's own values; those of params and stats are placeholders.
    """

    train: nnx.GraphDef[Any]
    evaluate: nnx.GraphDef[Any]
    paths: dict[str, Path]
    initial: Variables

    def apply(self, variables: Variables, x: jax.Array, training: bool) -> tuple[jax.Array, Variables]:
        """The output for a batch, and the variables after it. To be traced."""
        arrays = {**variables.params, **variables.stats, **variables.rest}
        state = nnx.from_flat_state({path: arrays[name] for name, path in self.paths.items()})
        module = nnx.merge(self.train if training else self.evaluate, state)
        output = module(x)
        after = dict(nnx.to_flat_state(nnx.state(module)))
        kept = ({name: after[self.paths[name]][...] for name in part} for part in variables)
        return output, Variables(*kept)


def split(model: Model) -> Network:
    """Splits the module. Raises PluginError unless the bindings are the architecture's parameters and the module's.

    The module must hold no nnx.Param or nnx.BatchStat that is not bound, and every bound variable.
    """
    places = {id(node): path for path, node in nnx.iter_graph(model.module) if isinstance(node, nnx.Variable)}
    names = _names(model, places)
    model.module.train()
    train, state = nnx.split(model.module)
    model.module.eval()
    evaluate = nnx.graphdef(model.module)
    arrays = {path: variable[...] for path, variable in nnx.to_flat_state(state)}
    rest = {"/".join(map(str, path)): path for path in arrays if path not in names.values()}
    trainable = {parameter.name: parameter.trainable for parameter in model.architecture.parameters()}
    initial = Variables(
        {name: arrays[path] for name, path in names.items() if trainable[name]},
        {name: arrays[path] for name, path in names.items() if not trainable[name]},
        {name: arrays[path] for name, path in rest.items()},
    )
    return Network(train, evaluate, {**names, **rest}, initial)


def _names(model: Model, places: dict[int, Path]) -> dict[str, Path]:
    table = {parameter.name for parameter in model.architecture.parameters()}
    if set(model.bindings) != table:
        missing, unknown = sorted(table - set(model.bindings)), sorted(set(model.bindings) - table)
        raise PluginError(
            f"jax: the lowering bound other parameters than {model.architecture.name}: missing {missing}, unknown {unknown}"
        )
    lost = [name for name, binding in model.bindings.items() if id(binding.native) not in places]
    if lost:
        raise PluginError(f"jax: {', '.join(lost)} are bound to variables that the module does not hold as attributes")
    bound = {id(binding.native) for binding in model.bindings.values()}
    unbound = [
        ".".join(map(str, path))
        for path, node in nnx.iter_graph(model.module)
        if isinstance(node, nnx.Param | nnx.BatchStat) and id(node) not in bound
    ]
    if unbound:
        raise PluginError(f"jax: the module holds parameters that no site.bind names: {', '.join(unbound)}")
    return {name: places[id(binding.native)] for name, binding in model.bindings.items()}
