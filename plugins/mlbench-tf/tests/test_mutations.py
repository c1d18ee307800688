"""Faults planted in the plugin, one at a time: the parity ladder catches each."""

from typing import ClassVar

import keras
import pytest
import tensorflow as tf
from attrs import evolve

import mlbench_tf.plugin
from mlbench_core.architecture import Conv2D, Dense, Dropout
from mlbench_core.testing.mutations import ADAMW, RESNET, Mutant, Mutations, Plant
from mlbench_tf import lowering, optimizer
from mlbench_tf.lowering import NHWC
from mlbench_tf.optimizer import SGD, AdamW


def asymmetric_padding(mutant: Mutant) -> None:
    """Keras's own "same" under a stride of 2."""

    def wrong(right, layer, site):
        if layer.stride != 2 or layer.kernel != 3:
            return right(layer, site)
        native = site.built(
            keras.layers.Conv2D(
                layer.features, 3, 2, "same", use_bias=layer.use_bias, data_format=NHWC, dtype=site.policy
            )
        )
        site.bind("kernel", native.kernel)
        return native

    mutant.lowers(Conv2D, wrong)


class SilentDense(keras.layers.Dense):
    """Holds a bias and does not add it."""

    def call(self, inputs):
        return keras.ops.matmul(inputs, self.kernel)


def silent_bias(mutant: Mutant) -> None:
    def wrong(right, layer, site):
        native = site.built(SilentDense(layer.features, dtype=site.policy))
        site.bind("kernel", native.kernel)
        site.bind("bias", native.bias)
        return native

    mutant.lowers(Dense, wrong)


def own_adamw(inside: bool) -> Plant:
    """The tree's rule in plain operations, with epsilon inside the root or outside."""

    class OwnAdamW(AdamW):
        def update(self, gradients):
            rule = self.rule
            powers = self.powers.assign(self.powers * tf.constant([rule.beta1, rule.beta2], tf.float64))
            correction1, correction2 = (tf.cast(1 - powers[i], self.dtype) for i in (0, 1))
            for (variable, m, v, decays), gradient in zip(self.slots, gradients, strict=True):
                m.assign(rule.beta1 * m + (1 - rule.beta1) * gradient)
                v.assign(rule.beta2 * v + (1 - rule.beta2) * tf.square(gradient))
                square = v / correction2
                root = tf.sqrt(square + rule.epsilon) if inside else tf.sqrt(square) + rule.epsilon
                decay = rule.weight_decay * variable if decays else 0.0
                variable.assign_sub(rule.learning_rate * (m / correction1 / root + decay))

    return lambda mutant: mutant.patch.setitem(optimizer.RULES, "adamw", OwnAdamW)


class DecayInTheGradient(AdamW):
    """What keras.optimizers.Adam(weight_decay=...) does not do, and L2 regularisation does."""

    def __init__(self, rule, trained, dtype):
        super().__init__(evolve(rule, weight_decay=0.0), trained, dtype)
        self.decay = [(variable, rule.weight_decay if rule.decays(p) else 0.0) for p, variable in trained]

    def update(self, gradients):
        super().update([g + decay * variable for g, (variable, decay) in zip(gradients, self.decay, strict=True)])


class KerasSGD(SGD):
    """Keras's own, which keeps its learning rate in float32 whatever the type of the model."""

    def __init__(self, rule, trained, dtype):
        self.variables = [variable for _, variable in trained]
        self.native = keras.optimizers.SGD(rule.learning_rate, rule.momentum)
        self.native.build(self.variables)

    def update(self, gradients):
        self.native.apply(gradients, self.variables)


def wrong_scale(mutant: Mutant) -> None:
    """Without the square root."""
    right = keras.layers.MultiHeadAttention._compute_attention

    def wrong(self, query, *rest, **more):
        return right(self, query * float(self._key_dim) ** -0.5, *rest, **more)

    mutant.patch.setattr(keras.layers.MultiHeadAttention, "_compute_attention", wrong)


class AlwaysOn(keras.layers.Dropout):
    """A `training=True` where the model is put together would not do: Keras overrules it by the model's own."""

    def call(self, inputs, training=False):
        return super().call(inputs, training=True)


class TestMutations(Mutations):
    plugin = mlbench_tf.plugin
    lowering = lowering
    faults: ClassVar = {
        "'same' padding is asymmetric": asymmetric_padding,
        "gelu is the tanh approximation": lambda mutant: mutant.patch.setattr(
            lowering, "gelu", lambda x: keras.activations.gelu(x, approximate=True)
        ),
        "the bias is held and not added": silent_bias,
        "Adam's epsilon is inside the root": own_adamw(inside=True),
        "weight decay is on the wrong side": lambda mutant: mutant.patch.setitem(
            optimizer.RULES, "adamw", DecayInTheGradient
        ),
        "the attention scale is wrong": wrong_scale,
        "dropout is left on in evaluation": lambda mutant: mutant.lowers(
            Dropout, lambda right, layer, site: AlwaysOn(layer.rate, seed=site.seed, dtype=site.policy)
        ),
    }
    controls: ClassVar = {"AdamW": (ADAMW, own_adamw(inside=False))}

    @pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
    def test_keras_own_sgd_is_caught(self, mutant: Mutant) -> None:
        """The rate is the fault: the rule is the same."""
        mutant.patch.setitem(optimizer.RULES, "sgd", KerasSGD)
        failure = mutant.verify(RESNET).first_failure()
        assert failure is not None
        assert failure.name == "lock-step losses", failure.describe()
        assert failure.error < 1e-5, f"more than a learning rate in float32: {failure.describe()}"
