"""Faults planted in the plugin, one at a time: the parity ladder catches each."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import optax
from flax import nnx

import mlbench_jax.plugin
from mlbench_core.architecture import Architecture, Conv2D, Dense, Dropout, Optimizer
from mlbench_core.testing.mutations import Mutant, Mutations
from mlbench_jax import lowering, modules, training


def asymmetric_padding(mutant: Mutant) -> None:
    """XLA's "SAME" under a stride of 2."""

    def wrong(right, layer, site):
        conv = right(layer, site)
        if layer.stride == 2 and layer.kernel == 3:
            conv.padding = "SAME"
        return conv

    mutant.lowers(Conv2D, wrong)


class SilentLinear(nnx.Linear):
    """Holds a bias and does not add it."""

    def __call__(self, x):
        return x @ self.kernel[...]


def silent_bias(right, layer, site):
    linear = SilentLinear(site.shape[-1], layer.features, rngs=site.rngs, **site.types)
    site.bind("kernel", linear.kernel)
    site.bind("bias", linear.bias)
    return linear


def decaying(rule: Optimizer, architecture: Architecture) -> dict[str, bool]:
    return {parameter.name: rule.decays(parameter) for parameter in architecture.parameters() if parameter.trainable}


def epsilon_in_the_root(rule: Optimizer, architecture: Architecture) -> optax.GradientTransformation:
    decays = decaying(rule, architecture)
    return optax.adamw(
        rule.learning_rate, rule.beta1, rule.beta2, 0.0, rule.epsilon, weight_decay=rule.weight_decay, mask=decays
    )


def decay_in_the_gradient(rule: Optimizer, architecture: Architecture) -> optax.GradientTransformation:
    decay = optax.add_decayed_weights(rule.weight_decay, decaying(rule, architecture))
    return optax.chain(decay, optax.adam(rule.learning_rate, rule.beta1, rule.beta2, rule.epsilon))


class AlwaysOn(nnx.Dropout):
    def __call__(self, x):
        return super().__call__(x, deterministic=False)


class TestMutations(Mutations):
    plugin = mlbench_jax.plugin
    lowering = lowering
    faults: ClassVar = {
        "'same' padding is asymmetric": asymmetric_padding,
        "gelu is the tanh approximation": lambda mutant: mutant.patch.setitem(
            lowering.ACTIVATIONS, "gelu", partial(nnx.gelu, approximate=True)
        ),
        "the bias is held and not added": lambda mutant: mutant.lowers(Dense, silent_bias),
        "Adam's epsilon is inside the root": lambda mutant: mutant.patch.setattr(
            training, "make_optimizer", epsilon_in_the_root
        ),
        "weight decay is on the wrong side": lambda mutant: mutant.patch.setattr(
            training, "make_optimizer", decay_in_the_gradient
        ),
        "the attention scale is wrong": lambda mutant: mutant.patch.setattr(
            modules,
            "plain_attention",
            lambda query, key, value, is_causal, right=modules.plain_attention: right(2 * query, key, value, is_causal),
        ),
        "dropout is left on in evaluation": lambda mutant: mutant.lowers(
            Dropout, lambda right, layer, site: AlwaysOn(layer.rate, rngs=site.rngs if layer.rate else None)
        ),
    }
