"""The model as pure functions: the training step, the prediction and the gradients, each jitted once.

State goes in and comes out as plain dictionaries of arrays, which JAX takes apart in C++. Modules exist only while a function
is traced, so a steady step never runs Flax's Python.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from attrs import frozen
from flax import nnx

from mlbench_core.architecture import Optimizer, Parameter
from mlbench_jax.settings import Precision
from mlbench_jax.weights import Layout, Place

State = dict[str, Any]
Forward = Callable[[State, State, Any], tuple[Any, State]]


@frozen
class Functions:
    """The jitted functions.

    step(params, rest, optimum, x, y) returns (params, rest, optimum, loss) and takes its first three arguments' memory.
    predict(params, rest, x) returns logits. differentiate(params, rest, x, y, cotangent or None) returns
    (logits, loss, gradients, gradient by x or None).
    """

    step: Any
    predict: Any
    differentiate: Any


def functions(module: Any, layout: Layout, rule: optax.GradientTransformation, precision: Precision) -> Functions:
    """Splits the module into its two modes and wraps them; nothing is traced yet."""
    module.train()
    training = _forward(nnx.graphdef(module), layout.places, precision)
    module.eval()
    evaluating = _forward(nnx.graphdef(module), layout.places, precision)

    def loss_of(logits: Any, labels: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(logits.astype(precision.dtype), labels).mean()

    def unscaled(gradients: Any) -> Any:
        if precision.loss_scale == 1:
            return gradients
        return jax.tree.map(lambda gradient: gradient / precision.loss_scale, gradients)

    def step(params: State, rest: State, optimum: Any, x: Any, y: Any) -> tuple[State, State, Any, Any]:
        def target(params: State) -> tuple[Any, tuple[Any, State]]:
            logits, after = training(params, rest, x)
            loss = loss_of(logits, y)
            return loss * precision.loss_scale, (loss, after)

        gradients, (loss, after) = jax.grad(target, has_aux=True)(params)
        updates, optimum = rule.update(unscaled(gradients), optimum, params)
        return optax.apply_updates(params, updates), after, optimum, loss

    def predict(params: State, rest: State, x: Any) -> Any:
        return evaluating(params, rest, x)[0]

    def differentiate(params: State, rest: State, x: Any, y: Any, cotangent: Any) -> tuple[Any, Any, State, Any]:
        def target(params: State, x: Any) -> tuple[Any, tuple[Any, Any]]:
            logits, _ = training(params, rest, x)
            logits = logits.astype(precision.dtype)
            loss = loss_of(logits, y) if cotangent is None else jnp.vdot(logits, cotangent)
            return loss * precision.loss_scale, (logits, loss)

        floats = jnp.issubdtype(x.dtype, jnp.floating)
        found, (logits, loss) = jax.grad(target, argnums=(0, 1) if floats else (0,), has_aux=True)(params, x)
        by_params, *by_x = unscaled(found)
        return logits, loss, by_params, by_x[0] if by_x else None

    return Functions(jax.jit(step, donate_argnums=(0, 1, 2)), jax.jit(predict), jax.jit(differentiate))


def _forward(graphdef: Any, places: Mapping[str, Place], precision: Precision) -> Forward:
    """(params, rest, x) to (the module's output, rest afterwards)."""

    def forward(params: State, rest: State, x: Any) -> tuple[Any, State]:
        if jnp.issubdtype(x.dtype, jnp.floating):
            x = x.astype(precision.compute)
        flat = {places[name]: array for name, array in (params | rest).items()}
        module = nnx.merge(graphdef, nnx.from_flat_state(flat))
        output = module(x)
        after = dict(nnx.to_flat_state(nnx.state(module)))
        return output, {name: after[places[name]].get_value() for name in rest}

    return forward


def optimizer(rule: Optimizer, table: Mapping[str, Parameter]) -> optax.GradientTransformation:
    """As the tree defines it. Its numbers stay Python floats, which take the type of the array they meet."""
    if rule.name == "sgd":
        return optax.sgd(rule.learning_rate, momentum=rule.momentum)
    return optax.adamw(
        rule.learning_rate,
        b1=rule.beta1,
        b2=rule.beta2,
        eps=rule.epsilon,
        weight_decay=rule.weight_decay,
        mask={name: rule.decays(parameter) for name, parameter in table.items()},
    )
