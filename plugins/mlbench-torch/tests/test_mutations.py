"""Faults planted in the plugin, one at a time: the parity ladder catches each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mlbench_torch.plugin
from mlbench_core.architecture import Conv2D, Dense, Dropout, Optimizer, Parameter
from mlbench_core.testing.mutations import ADAMW, Mutant, Mutations, Plant
from mlbench_torch import lowering, modules, training

Trained = list[tuple[Parameter, Tensor]]


def asymmetric_padding(mutant: Mutant) -> None:
    """TensorFlow's "same" under a stride of 2: nothing before an even image, one row and column after it."""

    def wrong(right: Callable[..., Any], layer: Conv2D, site: Any) -> nn.Module:
        conv = right(layer, site)
        if layer.stride != 2 or layer.kernel != 3:
            return conv
        conv.padding = (0, 0)
        before = [size % 2 for size in site.shape[:2]]
        return nn.Sequential(nn.ZeroPad2d((before[1], 1, before[0], 1)), conv)

    mutant.lowers(Conv2D, wrong)


def silent_bias(mutant: Mutant) -> None:
    def wrong(right: Callable[..., Any], layer: Dense, site: Any) -> nn.Module:
        linear = right(layer, site)
        linear.forward = lambda x: F.linear(x, linear.weight)
        return linear

    mutant.lowers(Dense, wrong)


class OwnAdamW(torch.optim.Optimizer):
    """The tree's rule, with epsilon where PyTorch has it or inside the root."""

    def __init__(self, trained: Trained, rule: Optimizer, inside: bool) -> None:
        super().__init__([{"params": [native for _, native in trained]}], {})
        self.trained, self.rule, self.inside, self.count = trained, rule, inside, 0
        self.moments = [(torch.zeros_like(native), torch.zeros_like(native)) for _, native in trained]

    @torch.no_grad()
    def step(self) -> None:
        rule = self.rule
        self.count += 1
        for (parameter, p), (m, v) in zip(self.trained, self.moments, strict=True):
            m.lerp_(p.grad, 1 - rule.beta1)
            v.lerp_(p.grad**2, 1 - rule.beta2)
            square = v / (1 - rule.beta2**self.count)
            root = (square + rule.epsilon).sqrt() if self.inside else square.sqrt() + rule.epsilon
            decay = rule.weight_decay * p if rule.decays(parameter) else 0
            p -= rule.learning_rate * (m / (1 - rule.beta1**self.count) / root + decay)


def own_adamw(inside: bool) -> Plant:
    def optimizer(rule: Optimizer, trained: Trained, tuned: bool) -> torch.optim.Optimizer:
        return OwnAdamW(trained, rule, inside)

    return lambda mutant: mutant.patch.setattr(training, "make_optimizer", optimizer)


class AlwaysOn(nn.Dropout):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p, training=True)


class TestMutations(Mutations):
    plugin = mlbench_torch.plugin
    lowering = lowering
    faults: ClassVar = {
        "'same' padding is asymmetric": asymmetric_padding,
        "gelu is the tanh approximation": lambda mutant: mutant.patch.setitem(
            lowering.ACTIVATIONS, "gelu", lambda: nn.GELU("tanh")
        ),
        "the bias is held and not added": silent_bias,
        "Adam's epsilon is inside the root": own_adamw(inside=True),
        # torch.optim.Adam takes the same arguments, and adds the decay to the gradient.
        "weight decay is on the wrong side": lambda mutant: mutant.patch.setattr(
            torch.optim, "AdamW", torch.optim.Adam
        ),
        "the attention scale is wrong": lambda mutant: mutant.patch.setattr(
            modules, "F", SimpleNamespace(scaled_dot_product_attention=partial(F.scaled_dot_product_attention, scale=1))
        ),
        "dropout is left on in evaluation": lambda mutant: mutant.lowers(
            Dropout, lambda right, layer, site: AlwaysOn(layer.rate)
        ),
    }
    controls: ClassVar = {"AdamW": (ADAMW, own_adamw(inside=False))}
