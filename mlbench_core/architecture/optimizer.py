"""The rule a model is trained with, as data: two that come along, and the class that a third party's own is made from.

A rule of your own is a subclass with its numbers, and an implementation for each framework, registered for the class::

    @frozen(kw_only=True)
    class Lion(UpdateRule):
        name: str = "lion"
        beta1: float = 0.9
        beta2: float = 0.99

`mlbench_core.reference.optimizers.make_optimizer` is where the NumPy one is registered, which the others are compared with;
each framework's plugin has a function of that name in its `optimizer` module. examples/third_party_optimizer is one, whole.
"""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen, validators

from mlbench_core.architecture.layer import Parameter
from mlbench_core.errors import ArchitectureError


@frozen(kw_only=True)
class UpdateRule:
    """What every rule has: its name, a learning rate, and a decay of weights, which a rule may leave at 0."""

    name: str
    learning_rate: float = field(validator=validators.gt(0))
    weight_decay: float = 0.0

    def decays(self, parameter: Parameter) -> bool:
        """Whether `weight_decay` applies to this parameter."""
        return self.weight_decay > 0 and len(parameter.shape) >= 2


@frozen(kw_only=True)
class Optimizer(UpdateRule):
    """The rules that come along; the same arithmetic in every framework.

    sgd:   buffer = momentum * buffer + gradient;  p -= learning_rate * buffer
    adamw: Loshchilov & Hutter's decoupled decay:
           p -= learning_rate * (m_hat / (sqrt(v_hat) + epsilon) + weight_decay * p), bias-corrected moments.
    Only parameters with two or more axes decay (BERT's own rule: no biases, no normalisation), see `decays`.
    """

    name: Literal["sgd", "adamw"] = field(validator=validators.in_(("sgd", "adamw")))
    momentum: float = 0.9
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __attrs_post_init__(self) -> None:
        if self.name == "sgd" and self.weight_decay:
            raise ArchitectureError("the optimiser sgd takes no weight_decay; adamw does")
