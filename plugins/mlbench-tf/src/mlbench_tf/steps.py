"""The functions of a session: a training step, a prediction and gradients, wrapped for the plan's execution and devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from mlbench_core.trial import Plan
from mlbench_tf import distributed
from mlbench_tf.loss import make_loss
from mlbench_tf.loss_scale import SCALED, LossScale
from mlbench_tf.optimizer import Updater
from mlbench_tf.settings import POLICIES

Function = Callable[..., Any]

BACKWARD_SCALE = dict.fromkeys(SCALED, 2.0**10)
"""Of single backward passes, whose cotangents may be larger than a loss's: a power of two, so exact."""

WRAPPERS: dict[str, Callable[[Any], Any]] = {
    # autograph rewrites Python control flow over tensors; there is none here, and without it tracing is quicker.
    "graph": lambda function: tf.function(function, autograph=False),
    "compiled": lambda function: tf.function(function, autograph=False, jit_compile=True),
    "eager": lambda function: function,
}


def compute_type(plan: Plan) -> str:
    """What products and activations are in."""
    return str(keras.DTypePolicy(POLICIES[plan.precision]).compute_dtype)


def variable_type(plan: Plan) -> str:
    """What parameters, optimiser and loss are in."""
    return str(keras.DTypePolicy(POLICIES[plan.precision]).variable_dtype)


def make_functions(
    network: Any,
    variables: list[Any],
    optimizer: Updater | None,
    scale: LossScale | None,
    plan: Plan,
    where: str,
    strategy: Any | None,
) -> tuple[Function, Function, Function]:
    """The training step, the prediction and the gradients, wrapped; they trace lazily.

    where: the device, or the first of several that share each batch. strategy: what runs a function on each of them; step and
    prediction then take values per replica, and the prediction returns a tuple of logits. Gradients are computed on `where`.
    """
    functions = _functions(network, variables, optimizer, scale, plan, where, shared=strategy is not None)
    if strategy is None:
        step, predict, differentiate = map(WRAPPERS[plan.execution], functions)
        return step, predict, differentiate
    # XLA would compile the gradients for one device, but they update the running statistics of all.
    wrap = WRAPPERS["eager" if plan.execution == "eager" else "graph"]
    step, predict = (distributed.on_each(strategy, function, plan.execution) for function in functions[:2])
    return wrap(lambda x, labels: step(x, labels)[0]), wrap(predict), wrap(functions[2])


def _functions(
    network: Any,
    variables: list[Any],
    optimizer: Updater | None,
    scale: LossScale | None,
    plan: Plan,
    where: str,
    shared: bool,
) -> tuple[Function, Function, Function]:
    """The three as plain functions of tensors.

    The device is named inside, so that a traced function knows it and calling one costs nothing; several are named by their
    strategy. shared: whether a step sees its share of the batch only, so that loss and gradients are averaged.
    """
    backward_scale = BACKWARD_SCALE.get(plan.precision, 1.0)
    device: Callable[[], Any] = nullcontext if shared else partial(tf.device, where)

    loss_function = make_loss(plan.loss)

    def loss_of(logits: Any, labels: Any) -> Any:
        return loss_function(tf.cast(logits, variable_type(plan)), labels)

    def dense(gradients: Sequence[Any]) -> list[Any]:
        return [tf.convert_to_tensor(gradient) for gradient in gradients]  # an embedding's come as slices

    def step(x: Any, labels: Any) -> Any:
        assert optimizer is not None, "this session was made to infer"
        with device():
            with tf.GradientTape() as tape:
                loss = loss_of(network(x, training=True), labels)
                target = loss if scale is None else scale.multiply(loss)
            found = dense(tape.gradient(target, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO))
            if shared:
                loss, *found = distributed.mean([loss, *found])
            if scale is None:
                optimizer.update(found)
            else:
                found, finite = scale.divide(found)
                optimizer.update(found, finite)
                scale.adapt(finite)
            return loss

    def predict(x: Any) -> Any:
        with device():
            return network(x, training=False)

    def differentiate(x: Any, labels: Any, cotangent: Any) -> tuple[Any, Any, list[Any]]:
        with tf.device(where):
            sources = [x, *variables] if x.dtype.is_floating else variables
            with tf.GradientTape() as tape:
                tape.watch(sources)
                output = network(x, training=True)
                loss = loss_of(output, labels) if cotangent is None else tf.cast(output, cotangent.dtype) * cotangent
                target = loss * backward_scale
            found = tape.gradient(target, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            return output, loss, [gradient / backward_scale for gradient in dense(found)]

    return step, predict, differentiate
