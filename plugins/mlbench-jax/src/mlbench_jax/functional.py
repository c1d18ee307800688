"""An NNX model as a pure function of plain dicts of arrays.

The module is split once. What a compiled step takes and returns are dicts of arrays, which JAX flattens in C++; the module is
put together again only while a function is traced. So a steady step costs what hand-written JAX costs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from attrs import frozen
from flax import nnx

from mlbench_core.errors import PluginError
from mlbench_jax.lowering import Model

Arrays = dict[str, jax.Array]
Path = tuple[Any, ...]  # of names and indices


class Variables(NamedTuple):
    """Everything a model holds.

    params: trained, by path in the tree. others: running statistics, by path in the tree, and whatever else the module keeps
    (dropout's keys and counts), by path in the module. Random keys are plain integers here: JAX takes typed ones apart in
    Python at every step.

    Two dicts, because JAX takes them apart at every step: a tuple of three costs a small model's inference 0.3 of its 25 us.
    Not one: with all arguments in alphabetical order, instead of the trained ones first as in a user's program, XLA made
    ResNet-18 infer 1.5 to 2 % slower on a CPU.
    """

    params: Arrays
    others: Arrays


@frozen(kw_only=True)
class Network:
    """A model's two graphs, and where in them every array belongs.

    rest: the module's own arrays, as they were at first. keys: those of them that are random keys, with their generators.
    """

    training: nnx.GraphDef[Any]
    evaluation: nnx.GraphDef[Any]
    paths: dict[str, Path]
    rest: Arrays
    keys: dict[str, Any]

    def apply(self, variables: Variables, x: jax.Array, training: bool) -> tuple[jax.Array, Variables]:
        """The output for a batch, and the variables after it. To be traced."""
        arrays = {**variables.params, **variables.others}
        arrays |= {name: jax.random.wrap_key_data(arrays[name], impl=kind) for name, kind in self.keys.items()}
        flat: Any = {path: arrays[name] for name, path in self.paths.items()}
        module: Any = nnx.merge(self.training if training else self.evaluation, nnx.from_flat_state(flat))
        output = module(x)
        after = dict(nnx.to_flat_state(nnx.state(module)))
        kept = ({name: _plain(after[self.paths[name]][...]) for name in part} for part in variables)
        return output, Variables(*kept)


def split(model: Model) -> Network:
    """Splits the module into its graphs. Raises PluginError unless every parameter of the architecture is bound to a
    variable of the module, and every nnx.Param and nnx.BatchStat of the module is bound."""
    variables = [(path, node) for path, node in nnx.iter_graph(model.module) if isinstance(node, nnx.Variable)]
    _check_bindings(model, variables)
    tree_names = {id(binding.native): name for name, binding in model.bindings.items()}
    paths = {tree_names.get(id(variable), "/".join(map(str, path))): path for path, variable in variables}
    held = {name: variable[...] for name, (_, variable) in zip(paths, variables, strict=True)}
    rest = {name: value for name, value in held.items() if name not in model.bindings}
    module: Any = model.module
    module.train()
    training = nnx.graphdef(module)
    module.eval()
    evaluation = nnx.graphdef(module)
    keys = {name: jax.random.key_impl(value) for name, value in rest.items() if _is_key(value)}
    return Network(
        training=training,
        evaluation=evaluation,
        paths=paths,
        rest={name: _plain(value) for name, value in rest.items()},
        keys=keys,
    )


def _is_key(value: jax.Array) -> bool:
    return bool(jnp.issubdtype(value.dtype, jax.dtypes.prng_key))


def _plain(value: jax.Array) -> jax.Array:
    return jax.random.key_data(value) if _is_key(value) else value


def _check_bindings(model: Model, variables: list[tuple[Path, nnx.Variable[Any]]]) -> None:
    table = {parameter.name for parameter in model.architecture.parameters()}
    if set(model.bindings) != table:
        missing, unknown = sorted(table - set(model.bindings)), sorted(set(model.bindings) - table)
        raise PluginError(
            f"jax: the lowering bound other parameters than {model.architecture.name}: missing {missing}, unknown {unknown}"
        )
    held = {id(variable) for _, variable in variables}
    lost = [name for name, binding in model.bindings.items() if id(binding.native) not in held]
    if lost:
        raise PluginError(f"jax: {', '.join(lost)}: bound to variables that the module does not hold as attributes")
    bound = {id(binding.native) for binding in model.bindings.values()}
    unbound = [
        ".".join(map(str, path))
        for path, variable in variables
        if isinstance(variable, nnx.Param | nnx.BatchStat) and id(variable) not in bound
    ]
    if unbound:
        raise PluginError(f"jax: the module holds parameters that the lowering did not bind: {', '.join(unbound)}")
