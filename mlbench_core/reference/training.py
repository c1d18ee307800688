"""A session: a lowered model with weights, its loss and its optimiser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from attrs import define, frozen

from mlbench_core.architecture import Architecture, Site, Weights
from mlbench_core.errors import PluginError, UnsupportedError
from mlbench_core.hookspecs import Batch, Gradients
from mlbench_core.reference.losses import Function, make_loss
from mlbench_core.reference.lowering import lower
from mlbench_core.reference.module import Array, Mode, Module, Variable
from mlbench_core.reference.optimizers import Updater, make_optimizer

if TYPE_CHECKING:
    from mlbench_core.trial import Plan

DTYPES = {"fp32": np.float32, "fp64": np.float64, "default": np.float32}
EXECUTIONS = ("eager",)

Placed = tuple[Array, npt.NDArray[np.int32]]
"""x in the session's type (or token ids) and labels."""


@frozen
class Model:
    """An architecture lowered to NumPy. variables: every parameter and running statistic by path."""

    architecture: Architecture
    root: Module
    variables: dict[str, Variable]


@define
class Session:
    """A model at work. The generator is dropout's; the optimiser is None in a session made to infer."""

    model: Model
    plan: Plan
    optimizer: Updater | None
    loss: Function
    generator: np.random.Generator

    def mode(self, training: bool) -> Mode:
        """What a forward pass of this session needs to know."""
        return Mode(training, self.generator)


def build_model(architecture: Architecture, plan: Plan) -> Model:
    """Lowers the tree. Raises UnsupportedError for a plan or a layer that the reference does not offer."""
    for what, value, offered in (
        ("precision", plan.precision, tuple(DTYPES)),
        ("execution", plan.execution, EXECUTIONS),
        ("device", plan.device, ("cpu",)),
    ):
        if value not in offered:
            raise UnsupportedError(f"numpy has no {what} {value!r}; it has {', '.join(offered)}")
    site: Site[Variable] = Site(architecture.input_shape)
    root = lower(architecture.root, site)
    for path, binding in site.bindings.items():
        if binding.axes is not None:
            raise PluginError(f"numpy: {path} was bound with axes; bind it in the tree's layout, without axes")
    return Model(architecture, root, {path: binding.native for path, binding in site.bindings.items()})


def make_session(model: Model, weights: Weights, plan: Plan) -> Session:
    """Fills the model's variables, in the plan's type. Raises PluginError for a missing, unknown or misshapen array."""
    table = {parameter.name: parameter for parameter in model.architecture.parameters()}
    for what, names in (("the lowering bound", set(model.variables)), ("the weights hold", set(weights))):
        if names != set(table):
            missing, unknown = sorted(set(table) - names), sorted(names - set(table))
            raise PluginError(
                f"numpy: {what} other parameters than {model.architecture.name}: missing {missing}, unknown {unknown}"
            )
    for name, variable in model.variables.items():
        value = np.array(weights[name], DTYPES[plan.precision])
        if value.shape != variable.shape:
            raise PluginError(f"numpy: {name} has shape {variable.shape}, its weights have {value.shape}")
        variable.value = value
    trained = [(parameter, model.variables[name]) for name, parameter in table.items() if parameter.trainable]
    optimizer = make_optimizer(plan.optimizer, trained) if plan.task == "train" else None
    return Session(model, plan, optimizer, make_loss(plan.loss), np.random.default_rng(plan.seed))


def place_batch(session: Session, batch: Batch) -> Placed:
    """Floats in the plan's type, token ids as they are."""
    if session.model.architecture.input_kind == "tokens":
        return batch.x, batch.y
    return batch.x.astype(DTYPES[session.plan.precision]), batch.y


def infer(session: Session, batch: Placed) -> Array:
    """Logits (batch, classes) in evaluation mode."""
    return session.model.root.forward(batch[0], session.mode(training=False))


def train_step(session: Session, batch: Placed) -> Any:
    """Forward, backward, update; returns the loss before the update."""
    assert session.optimizer is not None, "this session was made to infer"
    logits = session.model.root.forward(batch[0], session.mode(training=True))
    loss, dlogits = session.loss(logits, batch[1])
    session.model.root.backward(dlogits)
    session.optimizer.step()
    return loss


def gradients(session: Session, batch: Placed, cotangent: Array | None) -> Gradients:
    """One pass in training mode; afterwards the running statistics and dropout's generator are as before."""
    model = session.model
    x, labels = batch
    running = {path: variable.value for path, variable in model.variables.items() if not variable.trainable}
    drawn = session.generator.bit_generator.state
    output = model.root.forward(x, session.mode(training=True))
    loss = None
    if cotangent is None:
        loss, cotangent = session.loss(output, labels)
    inputs = model.root.backward(cotangent.astype(output.dtype))
    for path, value in running.items():
        model.variables[path].value = value
    session.generator.bit_generator.state = drawn
    return Gradients(
        output=output,
        loss=None if loss is None else float(loss),
        inputs=None if model.architecture.input_kind == "tokens" else np.array(inputs),
        parameters={path: v.grad.copy() for path, v in model.variables.items() if v.trainable},
    )


def read_weights(session: Session) -> Weights:
    """Copies, because the optimiser changes the arrays in place."""
    return {path: variable.value.copy() for path, variable in session.model.variables.items()}
