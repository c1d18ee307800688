"""A session: a Keras model with weights, trained by a step of its own (no `model.fit`)."""

from __future__ import annotations

import gc
from collections.abc import Callable
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
from mlbench_tf.device import POLICIES, configure, knobs
from mlbench_tf.lowering import KerasSite, lower
from mlbench_tf.optimizer import RULES, SGD, AdamW

Array = npt.NDArray[Any]
Placed = tuple[Any, Any]
"""x in the type that the model computes in, or token ids; labels. Ids and labels are int64: a traced function keeps int32
arguments in host memory, which would cost a copy in every step."""

LOSS_SCALE = {"fp16": 2.0**10}
"""Lifts small gradients over float16's smallest number. A power of two, so multiplying and dividing by it is exact."""

WRAPPERS: dict[str, Callable[[Any], Any]] = {
    # autograph rewrites Python control flow over tensors; there is none here, and without it tracing is quicker.
    "graph": lambda function: tf.function(function, autograph=False),
    "compiled": lambda function: tf.function(function, autograph=False, jit_compile=True),
    "eager": lambda function: function,
}


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

    optimizer: None in a session made to infer, whose memory it would otherwise count in.
    """

    model: Model
    plan: Plan
    device: str
    optimizer: SGD | AdamW | None
    step: Any
    predict: Any
    differentiate: Any

    def close(self) -> None:
        """Drops all that holds memory. Functions and model refer to each other, so it takes the collector."""
        del self.model, self.optimizer, self.step, self.predict, self.differentiate
        gc.collect()


def build_model(architecture: Architecture, plan: Plan) -> Model:
    """Lowers the tree into a functional Keras model. Raises UnsupportedError for what this TensorFlow does not offer."""
    tokens = architecture.input_kind == "tokens"
    site = KerasSite(architecture.input_shape, plan=plan)
    with tf.device(configure(plan)):
        inputs = keras.Input(architecture.input_shape, dtype="int64" if tokens else _compute_type(plan))
        network = keras.Model(inputs, lower(architecture.root, site)(inputs))
    return Model(network, architecture, site.bindings)


def make_session(model: Model, weights: Weights, plan: Plan) -> Session:
    """Fills the variables and prepares the steps. Raises PluginError for a missing, unknown or misshapen parameter."""
    table = {parameter.name: parameter for parameter in model.architecture.parameters()}
    _require_names("the lowering bound", set(model.bindings), set(table))
    _require_names("the weights hold", set(weights), set(table))
    where = configure(plan)
    for name, parameter in table.items():
        model.bindings[name].native.assign(_to_native(weights[name], parameter, model.bindings[name]))
    trained = [(p, model.bindings[p.name].native.value) for p in table.values() if p.trainable]
    optimizer = None
    if plan.task == "train":
        with tf.device(where):
            optimizer = RULES[plan.optimizer.name](plan.optimizer, trained, _variable_type(plan))
    functions = _functions(model.network, [variable for _, variable in trained], optimizer, plan, where)
    return Session(model, plan, where, optimizer, *map(WRAPPERS[plan.execution], functions))


def _functions(
    network: Any, variables: list[Any], optimizer: SGD | AdamW | None, plan: Plan, where: str
) -> tuple[Callable[..., Any], ...]:
    """The training step, the prediction and the gradients as plain functions of tensors.

    The device is named inside, so that a traced function knows it and calling one costs nothing.
    """
    scale = LOSS_SCALE.get(plan.precision)

    def loss_of(logits: Any, labels: Any) -> Any:
        logits = tf.cast(logits, _variable_type(plan))
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))

    def dense(gradient: Any) -> Any:
        gradient = tf.convert_to_tensor(gradient)  # an embedding's comes as slices
        return gradient if scale is None else gradient / tf.cast(scale, gradient.dtype)

    def step(x: Any, labels: Any) -> Any:
        assert optimizer is not None, "this session was made to infer"
        with tf.device(where):
            with tf.GradientTape() as tape:
                loss = loss_of(network(x, training=True), labels)
                target = loss if scale is None else loss * scale
            found = tape.gradient(target, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            optimizer.update([dense(gradient) for gradient in found])
            return loss

    def predict(x: Any) -> Any:
        with tf.device(where):
            return network(x, training=False)

    def differentiate(x: Any, labels: Any, cotangent: Any) -> tuple[Any, Any, list[Any]]:
        with tf.device(where):
            sources = [x, *variables] if x.dtype.is_floating else variables
            with tf.GradientTape() as tape:
                tape.watch(sources)
                output = network(x, training=True)
                loss = loss_of(output, labels) if cotangent is None else tf.cast(output, cotangent.dtype) * cotangent
                target = loss if scale is None else loss * scale
            found = tape.gradient(target, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            return output, loss, [dense(gradient) for gradient in found]

    return step, predict, differentiate


def place_batch(session: Session, batch: Batch) -> Placed:
    """The batch on the session's device; x is cast there, so that 16-bit models do not cast on the host."""
    with tf.device(session.device):
        if session.model.architecture.input_kind == "tokens":
            x = tf.constant(batch.x.astype(np.int64))
        else:
            x = tf.cast(tf.constant(batch.x), _compute_type(session.plan))
        return x, tf.constant(batch.y.astype(np.int64))


def to_numpy(value: Any) -> Array:
    """A tensor on the host; 16-bit values as float32."""
    if value.dtype in (tf.bfloat16, tf.float16):
        value = tf.cast(value, tf.float32)
    array: Array = value.numpy()
    return array


def gradients(session: Session, batch: Placed, cotangent: Array | None) -> Gradients:
    """One pass in training mode; running statistics and dropout's seeds are afterwards as before."""
    model, table = session.model, session.model.architecture.parameters()
    state = [(variable, variable.numpy()) for variable in model.network.non_trainable_variables]
    with tf.device(session.device):
        direction = None if cotangent is None else tf.constant(cotangent, _variable_type(session.plan))
    output, loss, found = session.differentiate(*batch, direction)
    for variable, value in state:
        variable.assign(value)
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
    return {
        **knobs(),
        "layout": ", ".join(sorted(layouts)),
        "dtype_policy": ", ".join(sorted(policies)),
        "loss_scale": str(LOSS_SCALE.get(session.plan.precision, 1.0)),
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
    return session


def _compute_type(plan: Plan) -> str:
    """What products and activations are in."""
    return str(keras.DTypePolicy(POLICIES[plan.precision]).compute_dtype)


def _variable_type(plan: Plan) -> str:
    """What parameters, optimiser and loss are in."""
    return str(keras.DTypePolicy(POLICIES[plan.precision]).variable_dtype)


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
