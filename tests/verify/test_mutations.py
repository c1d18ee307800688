"""The ladder catches every fault of the kit planted in the NumPy reference, and passes the reference without them.

No framework is needed here, and nothing but the fault differs. Each framework's plugin has the same tests.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from attrs import evolve

from mlbench_core.architecture import Activation, Conv2D, Dense, Dropout, Optimizer, SelfAttention
from mlbench_core.reference import layers, lowering, optimizers, plugin
from mlbench_core.reference.layers import Gelu
from mlbench_core.reference.module import Array, At, Mode, Module, variables
from mlbench_core.testing.mutations import ADAMW, MLP, Mutant, Mutations, Plant


class LopsidedModule(Module):
    def __init__(self, inner: Module) -> None:
        self.inner = inner

    def forward(self, x: Array, mode: Mode) -> Array:
        return self.inner.forward(np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0))), mode)

    def backward(self, dy: Array) -> Array:
        return self.inner.backward(dy)[:, :-1, :-1]


def asymmetric_padding(mutant: Mutant) -> None:
    """Nothing before, one row and column after."""

    def wrong(right: Callable[..., Any], layer: Conv2D, site: At) -> Module:
        if layer.stride != 2 or layer.kernel != 3:
            return right(layer, site)  # type: ignore[no-any-return]
        height, width, channels = site.shape
        return LopsidedModule(right(evolve(layer, padding=0), evolve(site, shape=(height + 1, width + 1, channels))))

    mutant.lowers(Conv2D, wrong)


class ApproximateGelu(Gelu):
    def forward(self, x: Array, mode: Mode) -> Array:
        super().forward(x, mode)
        y: Array = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
        return y


def approximate_gelu(right: Callable[..., Any], layer: Activation, site: At) -> Module:
    return ApproximateGelu() if layer.function == "gelu" else right(layer, site)  # type: ignore[no-any-return]


def silent_bias(right: Callable[..., Any], layer: Dense, site: At) -> Module:
    return layers.Dense(variables(layer, site)["kernel"])


class TransposedDense(layers.Dense):
    def forward(self, x: Array, mode: Mode) -> Array:
        self.kernel.value = self.kernel.value.T
        y = super().forward(x, mode)
        self.kernel.value = self.kernel.value.T
        return y


def transposed_kernel(right: Callable[..., Any], layer: Dense, site: At) -> Module:
    square = site.shape[-1] == layer.features
    return TransposedDense(**variables(layer, site)) if square else right(layer, site)  # type: ignore[no-any-return]


def wrong_scale(right: Callable[..., Any], layer: SelfAttention, site: At) -> Module:
    """Twice what it should be, as if it were taken of a fourth of the head's size."""
    attention = right(layer, site)
    query = attention.query.forward
    attention.query.forward = lambda x, mode: 2 * query(x, mode)
    return attention  # type: ignore[no-any-return]


def adamw(inside: bool = False, in_gradient: bool = False) -> Plant:
    """The rule written again, with one of its faults or none."""

    class Other(optimizers.AdamW):
        def step(self) -> None:
            self.count += 1
            for slot in self.slots:
                update(self.rule, self.count, *slot)

    def update(rule: Optimizer, count: int, variable: Any, decay: float, m: Array, v: Array) -> None:
        gradient = variable.grad + decay * variable.value if in_gradient else variable.grad
        m += (1 - rule.beta1) * (gradient - m)
        v += (1 - rule.beta2) * (np.square(gradient) - v)
        square = v / (1 - rule.beta2**count)
        root = np.sqrt(square + rule.epsilon) if inside else np.sqrt(square) + rule.epsilon
        step = m / (1 - rule.beta1**count) / root + (0 if in_gradient else decay * variable.value)
        variable.value -= rule.learning_rate * step

    def make_session(model: Any, weights: Any, plan: Any) -> Any:
        session = plugin.make_session(model, weights, plan)
        table = [(p, model.variables[p.name]) for p in model.architecture.parameters() if p.trainable]
        session.optimizer = Other(plan.optimizer, table)
        return session

    return lambda mutant: mutant.hooks.update(make_session=make_session)


class AlwaysOn(layers.Dropout):
    def forward(self, x: Array, mode: Mode) -> Array:
        return super().forward(x, evolve(mode, training=True))


class TestMutations(Mutations):
    plugin = plugin
    lowering = lowering
    faults: ClassVar = {
        "'same' padding is asymmetric": asymmetric_padding,
        "gelu is the tanh approximation": lambda mutant: mutant.lowers(Activation, approximate_gelu),
        "the bias is held and not added": lambda mutant: mutant.lowers(Dense, silent_bias),
        "Adam's epsilon is inside the root": adamw(inside=True),
        "weight decay is on the wrong side": adamw(in_gradient=True),
        "a kernel is transposed": lambda mutant: mutant.lowers(Dense, transposed_kernel),
        "the attention scale is wrong": lambda mutant: mutant.lowers(SelfAttention, wrong_scale),
        "dropout is left on in evaluation": lambda mutant: mutant.lowers(
            Dropout, lambda right, layer, site: AlwaysOn(layer.rate)
        ),
    }
    controls: ClassVar = {"AdamW": (ADAMW, adamw())}

    def test_a_framework_without_float64_is_unverified(self, mutant: Mutant) -> None:
        info = evolve(plugin.framework_info(), precisions=("fp32",))
        mutant.hooks["framework_info"] = lambda: info
        checked = mutant.verify(MLP)
        assert checked.verdict == "unverified"
        failure = checked.first_failure()
        assert failure is not None
        assert "offers no fp64" in failure.describe()

    def test_another_loss_is_caught(self, mutant: Mutant) -> None:
        """A thousandth more, as of a mean that leaves one of 1,000 samples out."""

        def make_session(model: Any, weights: Any, plan: Any) -> Any:
            session = plugin.make_session(model, weights, plan)
            right = session.loss
            session.loss = lambda logits, labels: tuple(1.001 * each for each in right(logits, labels))
            return session

        mutant.hooks["make_session"] = make_session
        failure = mutant.verify(MLP).first_failure()
        assert failure is not None
        assert failure.name == "gradients"
