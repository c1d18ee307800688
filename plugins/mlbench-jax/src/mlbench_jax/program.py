"""The functions that JAX compiles: one training step, one prediction, one backward pass."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from attrs import frozen

from mlbench_core.architecture import Architecture, Optimizer
from mlbench_jax.functional import Arrays, Network, Variables
from mlbench_jax.settings import Precision


class State(NamedTuple):
    """What a step takes and returns. optimizer: None in a session made to infer, whose memory it would otherwise count in."""

    variables: Variables
    optimizer: optax.OptState | None


@frozen
class Program:
    """Compiled by JAX at the first call for each shape.

    step(state, x, y) -> (state, loss). The old state's buffers are donated: it is gone afterwards.
    predict(params, others, x) -> logits.
    backward(variables, x, y, cotangent or None) -> (output, loss or None, gradients by params, by x or None).
    """

    step: Any
    predict: Any
    backward: Any


def make_optimizer(rule: Optimizer, architecture: Architecture) -> optax.GradientTransformation:
    """The rule in optax, for dicts of parameters by path."""
    if rule.name == "sgd":
        return optax.sgd(rule.learning_rate, momentum=rule.momentum or None)
    decays = {parameter.name: rule.decays(parameter) for parameter in architecture.parameters() if parameter.trainable}
    return optax.adamw(
        rule.learning_rate, rule.beta1, rule.beta2, rule.epsilon, weight_decay=rule.weight_decay, mask=decays
    )


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The mean over the batch."""
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))


def make_program(network: Network, optimizer: optax.GradientTransformation, precision: Precision) -> Program:
    """The session's functions. Precision of products is set while they are traced, so it holds for this session alone."""
    scale = precision.loss_scale

    def run(variables: Variables, x: jax.Array, training: bool) -> tuple[jax.Array, Variables]:
        if jnp.issubdtype(x.dtype, jnp.floating):
            x = x.astype(precision.compute)
        output, after = network.apply(variables, x, training)
        return output.astype(precision.dtype), after

    def unscaled(gradients: Any) -> Any:
        return jax.tree.map(lambda gradient: gradient / scale, gradients) if scale != 1 else gradients

    def step(state: State, x: jax.Array, y: jax.Array) -> tuple[State, jax.Array]:
        def objective(params: Any) -> tuple[jax.Array, tuple[jax.Array, Variables]]:
            logits, after = run(state.variables._replace(params=params), x, training=True)
            loss = cross_entropy(logits, y)
            return loss * scale, (loss, after)

        params = state.variables.params
        with jax.default_matmul_precision(precision.products):
            gradients, (loss, after) = jax.grad(objective, has_aux=True)(params)
        if precision.dtype == jnp.float64:
            # XLA on a GPU folds momentum * buffer + gradient into the convolution that yields the gradient, and cuDNN holds
            # that factor in float32, where 0.9 is off by 2e-8. Harmless in float32; here it would hide what the ladder looks
            # for, so the two are kept apart.
            gradients = jax.lax.optimization_barrier(gradients)  # type: ignore[no-untyped-call]
        assert state.optimizer is not None, "this session was made to infer"
        updates, moments = optimizer.update(unscaled(gradients), state.optimizer, params)
        params = optax.apply_updates(params, updates)
        return State(after._replace(params=params), moments), loss

    def predict(params: Arrays, others: Arrays, x: jax.Array) -> jax.Array:
        with jax.default_matmul_precision(precision.products):
            return run(Variables(params, others), x, training=False)[0]

    def backward(variables: Variables, x: jax.Array, y: jax.Array, cotangent: jax.Array | None) -> Any:
        def output_of(params: Any, x: jax.Array) -> jax.Array:
            return run(variables._replace(params=params), x, training=True)[0]

        tokens = jnp.issubdtype(x.dtype, jnp.integer)
        loss = None
        with jax.default_matmul_precision(precision.products):
            if tokens:
                output, pull = jax.vjp(lambda params: output_of(params, x), variables.params)
            else:
                output, pull = jax.vjp(output_of, variables.params, x)
            if cotangent is None:
                loss, cotangent = jax.value_and_grad(cross_entropy)(output, y)
            by_params, *by_x = unscaled(pull(cotangent * scale))
        return output, loss, by_params, by_x[0] if by_x else None

    return Program(jax.jit(step, donate_argnums=0), jax.jit(predict), jax.jit(backward))
