"""The ladder catches every one of these faults, planted in a plugin one at a time, and passes the plugin without them.

The plugin is a copy of the NumPy reference, so no framework is needed and nothing but the fault differs.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from attrs import evolve, frozen

from mlbench_core.architecture import (
    Activation,
    Architecture,
    BatchNorm,
    Conv2D,
    Dense,
    Layer,
    Residual,
    Sequential,
)
from mlbench_core.hookspecs import Batch, hookimpl
from mlbench_core.models.bert import bert
from mlbench_core.models.mlp import mlp
from mlbench_core.models.resnet import resnet
from mlbench_core.plugins import Framework
from mlbench_core.reference import plugin as reference
from mlbench_core.reference.layers import Gelu
from mlbench_core.reference.lowering import lower
from mlbench_core.reference.module import Array, At, Mode, Module
from mlbench_core.reference.training import AdamW
from mlbench_core.trial import ModelSource
from mlbench_core.verify.ladder import Pair, climb
from mlbench_core.verify.rungs import Climb, Rung

MLP = mlp((9,), 4, hidden=(8, 8))
RESNET = resnet("resnet", (16, 16, 1), 4, depths=(1, 1), bottleneck=False, width=4)
BERT = bert("bert", (7,), 4, depth=1, size=64, vocabulary=20, dropout=0.1)


def plugin(**changed: Callable[..., Any]) -> Framework:
    """The reference as a plugin of its own, with some hooks changed."""
    module = ModuleType("copy")
    for name, value in vars(reference).items():
        if hasattr(value, "mlbench_impl"):
            setattr(module, name, value)
    for name, function in changed.items():
        setattr(module, name, hookimpl(function))
    return Framework(module, "the copy", "copy")


def climbed(framework: Framework, architecture: Architecture) -> tuple[Rung, ...]:
    pair = Pair(framework, framework.framework_info(), "cpu", 1, 0, ModelSource("a:b"))
    return climb(pair, architecture, (("fp32", "default"),))


def rewritten(architecture: Architecture, change: Callable[[Layer], Layer]) -> Architecture:
    def walk(layer: Layer) -> Layer:
        if isinstance(layer, Sequential):
            return Sequential([(name, walk(child)) for name, child in layer.layers])
        if isinstance(layer, Residual):
            return Residual(walk(layer.body), layer.shortcut and walk(layer.shortcut))
        return change(layer)

    return evolve(architecture, root=walk(architecture.root))


def with_layers(kind: type[Layer], change: Callable[[Any], Layer]) -> Framework:
    def build_model(architecture: Any, plan: Any) -> Any:
        faulty = rewritten(architecture, lambda layer: change(layer) if isinstance(layer, kind) else layer)
        return reference.build_model(faulty, plan)

    return plugin(build_model=build_model)


@frozen
class Lopsided(Conv2D):
    """A strided convolution with TensorFlow's "same" padding: nothing before, one row and column after."""


class LopsidedModule(Module):
    def __init__(self, inner: Module) -> None:
        self.inner = inner

    def forward(self, x: Array, mode: Mode) -> Array:
        return self.inner.forward(np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0))), mode)

    def backward(self, dy: Array) -> Array:
        return self.inner.backward(dy)[:, :-1, :-1]


@lower.register
def _(layer: Lopsided, site: At) -> Module:
    values = {name: getattr(layer, name) for name in ("features", "kernel", "stride", "groups", "use_bias")}
    height, width, channels = site.shape
    return LopsidedModule(lower(Conv2D(padding=0, **values), evolve(site, shape=(height + 1, width + 1, channels))))


def lopsided(layer: Conv2D) -> Layer:
    fits = layer.stride == 2 and layer.kernel == 3
    return Lopsided(layer.features, 3, 2, 1, layer.groups, layer.use_bias) if fits else layer


@frozen
class Approximate(Layer):
    """Gelu by its tanh approximation."""


class ApproximateModule(Gelu):
    def forward(self, x: Array, mode: Mode) -> Array:
        super().forward(x, mode)
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


@lower.register
def _(layer: Approximate, site: At) -> Module:
    return ApproximateModule()


def without_biases() -> Framework:
    """The biases are kept for show, and never added."""

    def make_session(model: Any, weights: Any, plan: Any) -> Any:
        kept = {name: value for name, value in weights.items() if name in model.variables}
        session = reference.make_session(model, kept, plan)
        biases[id(session)] = {name: v.astype(np.float64) for name, v in weights.items() if name not in kept}
        return session

    def build_model(architecture: Any, plan: Any) -> Any:
        bare = rewritten(
            architecture, lambda layer: evolve(layer, use_bias=False) if isinstance(layer, Dense) else layer
        )
        return reference.build_model(bare, plan)

    biases: dict[int, Any] = {}
    return plugin(
        build_model=build_model,
        make_session=make_session,
        read_weights=lambda session: reference.read_weights(session) | biases[id(session)],
    )


def altered_weights(change: Callable[[str, Any], Any], undo: Callable[[str, Any], Any]) -> Framework:
    """Weights are changed on the way in and changed back on the way out, so that they read back right."""

    def make_session(model: Any, weights: Any, plan: Any) -> Any:
        return reference.make_session(model, {name: change(name, value) for name, value in weights.items()}, plan)

    def read_weights(session: Any) -> Any:
        return {name: undo(name, value) for name, value in reference.read_weights(session).items()}

    return plugin(make_session=make_session, read_weights=read_weights)


def transposed(name: str, value: Any) -> Any:
    square = value.ndim == 2 and value.shape[0] == value.shape[1]
    return value.T.copy() if square else value


def scaled(factor: float) -> Callable[[str, Any], Any]:
    """Queries twice as large are an attention scale twice as large."""
    return lambda name, value: value * np.asarray(factor, value.dtype) if ".query." in name else value


def float32_rate() -> Framework:
    def make_session(model: Any, weights: Any, plan: Any) -> Any:
        rate = float(np.float32(plan.optimizer.learning_rate))
        return reference.make_session(
            model, weights, evolve(plan, optimizer=evolve(plan.optimizer, learning_rate=rate))
        )

    return plugin(make_session=make_session)


def other_adam(update: Callable[..., Any]) -> Framework:
    class Other(AdamW):
        def step(self) -> None:
            self.count += 1
            for slot in self.slots:
                update(self.rule, self.count, *slot)

    def make_session(model: Any, weights: Any, plan: Any) -> Any:
        session = reference.make_session(model, weights, plan)
        table = [(p, model.variables[p.name]) for p in model.architecture.parameters() if p.trainable]
        session.optimizer = Other(plan.optimizer, table)
        return session

    return plugin(make_session=make_session)


def epsilon_in_the_root(rule: Any, count: int, variable: Any, decay: float, m: Any, v: Any) -> None:
    m += (1 - rule.beta1) * (variable.grad - m)
    v += (1 - rule.beta2) * (np.square(variable.grad) - v)
    update = m / (1 - rule.beta1**count) / np.sqrt(v / (1 - rule.beta2**count) + rule.epsilon)
    variable.value -= rule.learning_rate * (update + decay * variable.value)


def decay_in_the_gradient(rule: Any, count: int, variable: Any, decay: float, m: Any, v: Any) -> None:
    gradient = variable.grad + decay * variable.value
    m += (1 - rule.beta1) * (gradient - m)
    v += (1 - rule.beta2) * (np.square(gradient) - v)
    update = m / (1 - rule.beta1**count) / (np.sqrt(v / (1 - rule.beta2**count)) + rule.epsilon)
    variable.value -= rule.learning_rate * update


def right_adam(rule: Any, count: int, variable: Any, decay: float, m: Any, v: Any) -> None:
    m += (1 - rule.beta1) * (variable.grad - m)
    v += (1 - rule.beta2) * (np.square(variable.grad) - v)
    update = m / (1 - rule.beta1**count) / (np.sqrt(v / (1 - rule.beta2**count)) + rule.epsilon)
    variable.value -= rule.learning_rate * (update + decay * variable.value)


def dropout_in_evaluation() -> Framework:
    return plugin(infer=lambda session, batch: session.model.root.forward(batch[0], session.mode(True)))


def labels_off_by_one() -> Framework:
    def place_batch(session: Any, batch: Any) -> Any:
        classes = session.model.architecture.num_classes
        return reference.place_batch(session, Batch(batch.x, (batch.y + 1) % np.int32(classes)))

    return plugin(place_batch=place_batch)


def batches_out_of_order() -> Framework:
    """The fifth training batch comes before the fourth."""
    held: list[Any] = []
    count = [0]

    def train_step(session: Any, batch: Any) -> Any:
        count[0] += 1
        if count[0] % 25 == 4:
            held.append(batch)
        elif held:
            batch = held.pop()
        return reference.train_step(session, batch)

    return plugin(train_step=train_step)


def approximate(layer: Activation) -> Layer:
    return Approximate() if layer.function == "gelu" else layer


FAULTS: dict[str, tuple[Callable[[], Framework], Architecture, str]] = {
    "BatchNorm's eps is 1e-3": (lambda: with_layers(BatchNorm, lambda x: evolve(x, epsilon=1e-3)), RESNET, "layers"),
    "BatchNorm's momentum is .99": (lambda: with_layers(BatchNorm, lambda x: evolve(x, momentum=0.99)), RESNET, "lock-step"),
    "'same' padding is asymmetric": (lambda: with_layers(Conv2D, lopsided), RESNET, "layers"),
    "gelu is the tanh approximation": (lambda: with_layers(Activation, approximate), BERT, "layers"),
    "the bias is missing": (without_biases, MLP, "layers"),
    "the learning rate is a float32": (float32_rate, MLP, "lock-step"),
    "the learning rate is a float32, ResNet": (float32_rate, RESNET, "lock-step"),
    "the learning rate is a float32, AdamW": (float32_rate, BERT, "lock-step"),
    "Adam's epsilon is inside the root": (lambda: other_adam(epsilon_in_the_root), BERT, "lock-step"),
    "weight decay is on the wrong side": (lambda: other_adam(decay_in_the_gradient), BERT, "lock-step"),
    "a kernel is transposed": (lambda: altered_weights(transposed, transposed), MLP, "layers"),
    "the attention scale is wrong": (lambda: altered_weights(scaled(2), scaled(0.5)), BERT, "layers"),
    "dropout is left on in evaluation": (dropout_in_evaluation, BERT, "layers"),
    "labels are off by one": (labels_off_by_one, MLP, "gradients"),
    "a batch is out of order": (batches_out_of_order, MLP, "lock-step"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_caught_and_placed(name: str) -> None:
    make, architecture, rung = FAULTS[name]
    rungs = climbed(make(), architecture)
    failure = Climb("copy", architecture.name, "cpu", "", "", rungs).first_failure()
    assert failure is not None, f"nothing was caught: {rungs}"
    assert failure.name.startswith(rung), failure.describe()
    assert Climb("copy", architecture.name, "cpu", "", "", rungs).verdict == "failed"
    assert failure.where or failure.note
    assert "\n" not in failure.describe()


@pytest.mark.parametrize("architecture", [MLP, RESNET, BERT], ids=lambda a: a.name)
def test_without_a_fault_every_rung_holds(architecture: Architecture) -> None:
    rungs = climbed(plugin(), architecture)
    assert Climb("copy", architecture.name, "cpu", "", "", rungs).verdict == "verified"
    assert [rung.number for rung in rungs] == [1, 2, 3, 4, 4, 5, 6, 6, 7]


def test_a_correct_rewrite_of_adam_passes() -> None:
    """The control of the two AdamW faults: it is the fault that is caught, not the rewriting."""
    rungs = climbed(other_adam(right_adam), BERT)
    assert Climb("copy", "bert", "cpu", "", "", rungs).verdict == "verified"


def test_a_framework_without_float64_is_unverified() -> None:
    info = evolve(reference.framework_info(), precisions=("fp32",))
    rungs = climbed(plugin(framework_info=lambda: info), MLP)
    climb_of = Climb("copy", "mlp", "cpu", "", "", rungs)
    assert climb_of.verdict == "unverified"
    failure = climb_of.first_failure()
    assert failure is not None
    assert "offers no fp64" in failure.describe()
