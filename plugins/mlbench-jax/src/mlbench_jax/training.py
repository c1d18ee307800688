"""A session: a model's arrays on the device, and the compiled functions that they go through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax
from attrs import define

from mlbench_core.architecture import Architecture, Optimizer, Weights
from mlbench_core.errors import PluginError
from mlbench_core.hookspecs import Batch, Gradients
from mlbench_core.trial import Plan
from mlbench_jax import checkpoint, settings
from mlbench_jax.functional import Arrays, Network, Variables, split
from mlbench_jax.layout import Layout, layouts
from mlbench_jax.lowering import Model
from mlbench_jax.settings import Precision

Placed = tuple[jax.Array, jax.Array]
"""x and labels on the device."""


class State(NamedTuple):
    """What a step takes and returns; its buffers are donated, so the old ones are gone after a step."""

    variables: Variables
    optimizer: optax.OptState


@define
class Session:
    """A model at work. step(state, x, y) -> (state, loss); predict(variables, x) -> logits; all are jitted."""

    plan: Plan
    architecture: Architecture
    network: Network
    layouts: dict[str, Layout]
    precision: Precision
    device: jax.Device
    optimizer: optax.GradientTransformation
    forward: Callable[[Variables, jax.Array], jax.Array]
    step: Any
    predict: Any
    backward: Any
    start: Any
    state: State


def make_session(model: Model, weights: Weights, plan: Plan) -> Session:
    """The model on its device. Nothing is compiled but the optimiser's first state."""
    precision, device = settings.apply(plan)
    network = split(model)
    optimizer = make_optimizer(model.architecture)
    forward, step, backward = functions(network, optimizer, precision)
    session = Session(
        plan=plan,
        architecture=model.architecture,
        network=network,
        layouts=layouts(model, network),
        precision=precision,
        device=device,
        optimizer=optimizer,
        forward=forward,
        step=jax.jit(step, donate_argnums=0),
        predict=jax.jit(forward),
        backward=jax.jit(backward),
        start=jax.jit(optimizer.init),
        state=None,
    )
    session.state = fresh_state(session, native_arrays(session, weights))
    return session


def make_optimizer(architecture: Architecture) -> optax.GradientTransformation:
    """The architecture's rule in optax, for dicts of parameters by path."""
    rule: Optimizer = architecture.optimizer
    if rule.name == "sgd":
        return optax.sgd(rule.learning_rate, momentum=rule.momentum or None)
    decays = {p.name: rule.decays(p) for p in architecture.parameters() if p.trainable}
    return optax.adamw(
        rule.learning_rate, rule.beta1, rule.beta2, rule.epsilon, weight_decay=rule.weight_decay, mask=decays
    )
