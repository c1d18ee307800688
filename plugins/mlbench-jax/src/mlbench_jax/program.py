"""The functions that JAX compiles: one training step, one prediction, one backward pass."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from attrs import frozen
from flax.training.dynamic_scale import DynamicScale

from mlbench_jax.distributed import Placement
from mlbench_jax.functional import Arrays, Network, Variables
from mlbench_jax.loss import Function
from mlbench_jax.settings import Precision


class State(NamedTuple):
    """What a step takes and returns. optimizer: None in a session made to infer, whose memory it would otherwise count in.
    scale: what the loss is multiplied by, None where it is not."""

    variables: Variables
    optimizer: optax.OptState | None
    scale: DynamicScale | None = None


GROWTH_STEPS = 2000
"""Finite steps after which the loss's scale doubles; a step that is not finite halves it and changes nothing else (NVIDIA's
guide to mixed precision, and the default of every framework's loss scaler)."""


BACKWARD_SCALE = 2.0**10
"""Of single backward passes in float16, whose cotangents may be larger than a loss's: a power of two, so exact."""


def first_scale(precision: Precision) -> DynamicScale | None:
    """The loss's scale before the first step."""
    if precision.loss_scale is None:
        return None
    return DynamicScale(growth_interval=GROWTH_STEPS, scale=jnp.float32(precision.loss_scale))


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


def make_program(
    network: Network,
    optimizer: optax.GradientTransformation,
    loss_of: Function,
    precision: Precision,
    placement: Placement,
) -> Program:
    """The session's functions. Precision of products is set while they are traced, so it holds for this session alone."""
    scale = BACKWARD_SCALE if precision.loss_scale else 1.0

    def run(variables: Variables, x: jax.Array, training: bool) -> tuple[jax.Array, Variables]:
        if jnp.issubdtype(x.dtype, jnp.floating):
            x = x.astype(precision.compute)
        output, after = network.apply(variables, x, training)
        return output.astype(precision.dtype), after

    def unscaled(gradients: Any) -> Any:
        return jax.tree.map(lambda gradient: gradient / scale, gradients) if scale != 1 else gradients

    def step(state: State, x: jax.Array, y: jax.Array) -> tuple[State, jax.Array]:
        def objective(params: Any) -> tuple[jax.Array, Variables]:
            logits, after = run(state.variables._replace(params=params), x, training=True)
            return loss_of(logits, y), after

        params, finite = state.variables.params, None
        with jax.default_matmul_precision(precision.products):
            if state.scale is None:
                (loss, after), gradients = jax.value_and_grad(objective, has_aux=True)(params)
                next_scale = None
            else:
                scaled = state.scale.value_and_grad(objective, has_aux=True)
                next_scale, finite, (loss, after), gradients = scaled(params)
        if precision.dtype == jnp.float64:
            # XLA on a GPU folds momentum * buffer + gradient into the convolution that yields the gradient, and cuDNN holds
            # that factor in float32, where 0.9 is off by 2e-8. Harmless in float32; here it would hide what the ladder looks
            # for, so the two are kept apart.
            gradients = jax.lax.optimization_barrier(gradients)  # type: ignore[no-untyped-call]
        assert state.optimizer is not None, "this session was made to infer"
        updates, moments = optimizer.update(gradients, state.optimizer, params)
        updated = optax.apply_updates(params, updates)
        if finite is not None:  # a step that is not finite changes neither parameters nor moments
            updated = jax.tree.map(partial(jnp.where, finite), updated, params)
            moments = jax.tree.map(partial(jnp.where, finite), moments, state.optimizer)
        return State(after._replace(params=updated), moments, next_scale), loss

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
                loss, cotangent = jax.value_and_grad(loss_of)(output, y)
            by_params, *by_x = unscaled(pull(cotangent * scale))
        return output, loss, by_params, by_x[0] if by_x else None

    if not placement.several:
        return Program(jax.jit(step, donate_argnums=0), jax.jit(predict), jax.jit(backward))
    # Named, so that what comes out of a step can go into the next one as it is.
    whole, split = placement.whole, placement.split
    return Program(
        jax.jit(step, donate_argnums=0, out_shardings=whole), jax.jit(predict, out_shardings=split), jax.jit(backward)
    )
