"""A session: a Keras model with weights, trained by a step of its own (no `model.fit`)."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from attrs import define, frozen

from mlbench_core.architecture import Architecture, Binding, Parameter, Weights
from mlbench_core.errors import PluginError
from mlbench_core.hookspecs import Batch, Gradients
from mlbench_core.trial import Plan
from mlbench_tf import distributed
from mlbench_tf.loss_scale import LossScale, make_loss_scale
from mlbench_tf.lowering import KerasSite, lower
from mlbench_tf.optimizer import Updater, make_optimizer
from mlbench_tf.settings import apply, read_back
from mlbench_tf.steps import compute_type, make_functions, variable_type

Array = npt.NDArray[Any]
Placed = tuple[Any, Any]
"""x in the type that the model computes in, or token ids; labels. Ids and labels are int64: a traced function keeps int32
arguments in host memory, which would cost a copy in every step. Where several devices share the batch, values per replica."""


@frozen
class Model:
    """An architecture in Keras. A model's own native build for tensorflow returns one of these, too.

    network: a keras.Model from x (batch, ...) to logits. bindings: by path, the Keras variable of every parameter.
    """

    network: Any
    architecture: Architecture
    bindings: dict[str, Binding[Any]]


@define
class Session:
    """A model at work. `step`, `predict` and `differentiate` are wrapped for the plan's execution and trace lazily.

    device: the plan's, or the first of several. strategy: what runs step and prediction on several; None for one. optimizer:
    None in a session made to infer, whose memory it would otherwise count in. loss_scale: None where losses are not scaled.
    """

    model: Model
    plan: Plan
    device: str
    strategy: Any | None
    optimizer: Updater | None
    loss_scale: LossScale | None
    step: Any
    predict: Any
    differentiate: Any

    def close(self) -> None:
        """Drops all that holds memory. Functions and model refer to each other, so it takes the collector."""
        del self.model, self.optimizer, self.loss_scale, self.step, self.predict, self.differentiate
        gc.collect()


def build_model(architecture: Architecture, plan: Plan) -> Model:
    """Lowers the tree into a functional Keras model. Raises UnsupportedError for what this TensorFlow does not offer."""
    tokens = architecture.input_kind == "tokens"
    site = KerasSite(architecture.input_shape, plan=plan)
    with _variables_on(plan, apply(plan)):
        inputs = keras.Input(architecture.input_shape, dtype="int64" if tokens else compute_type(plan))
        network = keras.Model(inputs, lower(architecture.root, site)(inputs))
    return Model(network, architecture, site.bindings)


def make_session(model: Model, weights: Weights, plan: Plan) -> Session:
    """Fills the variables and prepares the steps. Raises PluginError for a missing, unknown or misshapen parameter."""
    table = {parameter.name: parameter for parameter in model.architecture.parameters()}
    _require_names("the lowering bound", set(model.bindings), set(table))
    _require_names("the weights hold", set(weights), set(table))
    where = apply(plan)
    for name, parameter in table.items():
        model.bindings[name].native.assign(_to_native(weights[name], parameter, model.bindings[name]))
    trained = [(p, model.bindings[p.name].native.value) for p in table.values() if p.trainable]
    optimizer = None
    strategy = distributed.strategy_for(plan)
    with _variables_on(plan, where):
        scale = make_loss_scale(plan)
        if plan.task == "train":
            optimizer = make_optimizer(plan.optimizer, trained, variable_type(plan))
    if strategy is not None:
        distributed.part_seeds(model.network)
    variables = [variable for _, variable in trained]
    functions = make_functions(model.network, variables, optimizer, scale, plan, where, strategy)
    return Session(model, plan, where, strategy, optimizer, scale, *functions)


def _variables_on(plan: Plan, where: str) -> Any:
    """A context in which variables are made on the plan's device, or mirrored on all of them."""
    strategy = distributed.strategy_for(plan)
    return tf.device(where) if strategy is None else strategy.scope()


def place_batch(session: Session, batch: Batch) -> Placed:
    """The batch on the session's device, or a share of it on each; x is cast there, so that 16-bit models do not cast on the
    host."""
    tokens, wanted = session.model.architecture.input_kind == "tokens", compute_type(session.plan)

    def place(x: Array, y: Array) -> Placed:
        here = tf.constant(x.astype(np.int64)) if tokens else tf.cast(tf.constant(x), wanted)
        return here, tf.constant(y.astype(np.int64))

    if session.strategy is not None:
        return distributed.shared(session.strategy, batch.x, batch.y, place)
    with tf.device(session.device):
        return place(batch.x, batch.y)


def to_numpy(value: Any) -> Array:
    """A tensor on the host, or tensors of several devices one after the other; 16-bit values as float32."""
    if isinstance(value, tuple):
        return np.concatenate([to_numpy(part) for part in value])
    if value.dtype in (tf.bfloat16, tf.float16):
        value = tf.cast(value, tf.float32)
    return np.asarray(value.numpy())  # a loss comes as a scalar


def gradients(session: Session, batch: Placed, cotangent: Array | None) -> Gradients:
    """One pass in training mode on the session's device; running statistics and dropout's seeds are afterwards as before."""
    model, table = session.model, session.model.architecture.parameters()
    variables = model.network.non_trainable_variables
    state = [(copy, copy.numpy()) for variable in variables for copy in distributed.copies(variable)]
    with tf.device(session.device):
        if session.strategy is not None:
            batch = distributed.whole(session.strategy, batch[0]), distributed.whole(session.strategy, batch[1])
        direction = None if cotangent is None else tf.constant(cotangent, variable_type(session.plan))
    output, loss, found = session.differentiate(*batch, direction)
    for copy, value in state:
        copy.assign(value)
    arrays = [to_numpy(gradient) for gradient in found]
    trained = [parameter for parameter in table if parameter.trainable]
    inputs = arrays.pop(0) if len(arrays) > len(trained) else None
    return Gradients(
        output=to_numpy(output),
        loss=float(loss) if cotangent is None else None,
        inputs=inputs,
        parameters={p.name: _to_tree(a, p, model.bindings[p.name]) for p, a in zip(trained, arrays, strict=True)},
    )


def read_weights(session: Session) -> Weights:
    """Copies of every parameter and running statistic, in the tree's layout."""
    bindings = session.model.bindings
    return {
        parameter.name: _to_tree(np.array(bindings[parameter.name].native.numpy()), parameter, bindings[parameter.name])
        for parameter in session.model.architecture.parameters()
    }


def read_knobs(session: Session) -> dict[str, str]:
    """The process's settings, and those that this session's model carries."""
    layouts = {layer.data_format for layer in session.model.network.layers if hasattr(layer, "data_format")}
    policies = {layer.dtype_policy.name for layer in session.model.network.layers if layer.weights}
    replicas = {} if session.strategy is None else distributed.knobs(session.strategy)
    return {
        **read_back(),
        **replicas,
        "layout": ", ".join(sorted(layouts)),
        "dtype_policy": ", ".join(sorted(policies)),
        "loss_scale": "none" if session.loss_scale is None else f"{session.loss_scale.value.numpy():g}, dynamic",
    }


def compilations(session: Session) -> int:
    """Traces so far of the functions that are timed; each trace of a `jit_compile` function is compiled anew."""
    functions = [function for function in (session.step, session.predict) if hasattr(function, "python_function")]
    return sum(function.experimental_get_tracing_count() for function in functions)


def save(session: Session, path: Path) -> Path:
    """Writes `path`.weights.h5: parameters and running statistics.

    Not a .keras archive: `load` fills the model that is there, so that nothing is traced again, and that takes values only.
    """
    file = path.with_name(f"{path.name}.weights.h5")
    session.model.network.save_weights(file)
    return file


def load(session: Session, path: Path) -> Session:
    """The same session with the values in the file and an optimiser as before its first step."""
    session.model.network.load_weights(path)
    if session.optimizer is not None:
        session.optimizer.reset()
    if session.loss_scale is not None:
        session.loss_scale.reset()
    return session


def _require_names(who: str, names: set[str], wanted: set[str]) -> None:
    if names != wanted:
        missing, unknown = sorted(wanted - names), sorted(names - wanted)
        raise PluginError(
            f"tensorflow: {who} other parameters than the architecture: missing {missing}, unknown {unknown}"
        )


def _to_native(value: Array, parameter: Parameter, binding: Binding[Any]) -> Array:
    native = tuple(binding.native.shape)
    if value.shape != parameter.shape or value.size != np.prod(native):
        raise PluginError(
            f"tensorflow: {parameter.name} is {parameter.shape}, but its weights are {value.shape} and it is bound to {native}"
        )
    return (value if binding.axes is None else value.transpose(binding.axes)).reshape(native)


def _to_tree(value: Array, parameter: Parameter, binding: Binding[Any]) -> Array:
    if binding.axes is None:
        return value.reshape(parameter.shape)
    transposed = [parameter.shape[axis] for axis in binding.axes]
    return value.reshape(transposed).transpose(np.argsort(binding.axes))
