"""A session of acorn: a lowered model with its weights and its optimiser."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import define

from mlbench_acorn.lowering import Value, lower, softmax_loss
from mlbench_core.architecture import Architecture, Optimizer, Site, Weights
from mlbench_core.errors import PluginError, UnsupportedError
from mlbench_core.hookspecs import Batch, Gradients
from mlbench_core.trial import Plan

TYPES = {"fp32": np.float32, "fp64": np.float64}


@define
class Session:
    """values: every parameter by path. rule: what it is trained with. momentum: the optimiser's, by path; empty in a session
    that only infers."""

    architecture: Architecture
    model: Any
    values: dict[str, Value]
    plan: Plan
    rule: Optimizer
    momentum: dict[str, Any]

    def place(self, batch: Batch) -> tuple[Any, Any]:
        """Samples in the plan's type, and labels."""
        return batch.x.astype(TYPES[self.plan.precision]), batch.y

    def step(self, x: Any, labels: Any) -> Any:
        """Stochastic gradient descent with momentum; the loss before the update."""
        loss, gradient = softmax_loss(self.model.forward(x), labels)
        self.model.backward(gradient)
        rule = self.rule
        for name, value in self.values.items():
            self.momentum[name] = rule.momentum * self.momentum[name] + value.gradient
            value.array = value.array - rule.learning_rate * self.momentum[name]
        return loss

    def gradients(self, x: Any, labels: Any, cotangent: Any) -> Gradients:
        """One pass; see the hook."""
        output = self.model.forward(x)
        loss = None
        if cotangent is None:
            loss, cotangent = softmax_loss(output, labels)
        inputs = self.model.backward(cotangent.astype(output.dtype))
        found: Weights = {name: value.gradient.copy() for name, value in self.values.items()}
        return Gradients(output=output, loss=None if loss is None else float(loss), inputs=inputs, parameters=found)


Model = tuple[Architecture, Any, dict[str, Value]]


def build(architecture: Architecture, refused: str) -> Model:
    """The tree lowered, and its parameters by path. refused: why the plan cannot be run, empty if it can."""
    if refused:
        raise UnsupportedError(refused)
    site: Site[Value] = Site(architecture.input_shape)
    root = lower(architecture.root, site)
    return architecture, root, {path: binding.native for path, binding in site.bindings.items()}


def make_session(model: Model, weights: Weights, plan: Plan) -> Session:
    """Puts the weights in, in the plan's type."""
    architecture, root, values = model
    if set(values) != set(weights):
        missing, unknown = sorted(set(weights) - set(values)), sorted(set(values) - set(weights))
        raise PluginError(f"acorn: the lowering bound other parameters: missing {missing}, unknown {unknown}")
    rule = plan.optimizer
    if not isinstance(rule, Optimizer) or rule.name != "sgd":
        # TODO 4: adamw, by the formula in mlbench_core/architecture/optimizer.py; the BERTs are trained with it.
        raise UnsupportedError(f"acorn has no optimiser {rule.name!r}, only sgd")
    if plan.loss.name != "cross-entropy":
        raise UnsupportedError(f"acorn has no loss {plan.loss.name!r}, only cross-entropy")
    for name, value in values.items():
        value.array = np.array(weights[name], TYPES[plan.precision])
    training = plan.task == "train"
    momentum = {name: np.zeros_like(value.array) for name, value in values.items()} if training else {}
    return Session(architecture, root, values, plan, rule, momentum)
