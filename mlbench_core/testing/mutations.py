"""Faults to plant in a plugin, one at a time, each of which the parity ladder must catch: subclass `Mutations`.

In your plugin's tests::

    class TestMutations(Mutations):
        plugin = my_plugin.plugin
        lowering = my_plugin.lowering
        faults = {"the attention scale is wrong": ...}  # those of FAULTS that take your framework's own code

A fault that a layer's fields or the hooks can express is planted here, the same in every plugin. The others are functions of a
`Mutant` that lower a layer wrongly or patch the plugin. Whatever a test planted is gone when it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
from attrs import define, evolve, field, frozen

from mlbench_core.architecture import (
    Activation,
    Architecture,
    BatchNorm,
    Dense,
    Embedding,
    Gated,
    Layer,
    LayerScale,
    MeanTokens,
    Residual,
    RMSNorm,
    SelfAttention,
    Sequential,
)
from mlbench_core.architecture.layer import join
from mlbench_core.hookspecs import Batch, hookimpl
from mlbench_core.models.bert import bert
from mlbench_core.models.mlp import mlp
from mlbench_core.models.resnet import resnet
from mlbench_core.plugins import Framework
from mlbench_core.trial import ModelSource
from mlbench_core.verify.ladder import parity_of
from mlbench_core.verify.rungs import ParityResult
from mlbench_core.verify.samples import learnable_batch
from mlbench_core.verify.subject import BATCH, Subject

SEED = 0
MLP = mlp((9,), 4, hidden=(8, 8))
"""The hidden kernel between equal layers is square, so that transposing it keeps its shape."""
RESNET = resnet("resnet", (16, 16, 1), 4, depths=(1, 1), bottleneck=False, width=4)
BERT = bert("bert", (7,), 4, depth=1, size=64, vocabulary=20, dropout=0.1)
GPT = Architecture(
    name="gpt",
    root=Sequential(
        {
            "token": Embedding(20, 12),
            "attention": Residual(Sequential([RMSNorm(), SelfAttention(3, causal=True), LayerScale(0.5)])),
            "gated": Residual(Gated(Dense(12), Sequential([Dense(12), Activation("silu")]))),
            "mean": MeanTokens(),
            "head": Dense(4),
        }
    ),
    input_shape=(7,),
    num_classes=4,
    optimizer=BERT.optimizer,
    input_kind="tokens",
)
ADAMW = evolve(MLP, name="mlp-adamw", optimizer=BERT.optimizer)
"""BERT's rule on a model that takes seconds less to verify."""


def copy_of(plugin: Any, **changed: Callable[..., Any]) -> ModuleType:
    """The plugin as a module of its own, with some hooks changed. A new hook's parameters are named as the contract's."""
    module = ModuleType("copy")
    for name, value in vars(plugin).items():
        if hasattr(value, "mlbench_impl"):
            setattr(module, name, value)
    for name, function in changed.items():
        setattr(module, name, hookimpl(function))
    return module


@define(kw_only=True)
class Mutant:
    """A plugin to plant a fault in. hooks: those that differ from the plugin's."""

    plugin: Any
    lower: Any
    patch: pytest.MonkeyPatch
    cleanup: ExitStack
    hooks: dict[str, Callable[..., Any]] = field(factory=dict)
    building: bool = field(default=False, init=False)

    def lowers(self, kind: type[Layer], wrong: Callable[[Callable[..., Any], Any, Any], Any]) -> None:
        """The mutant lowers a layer of `kind` by wrong(right, layer, site), `right` being the plugin's own lowering."""
        right = self.lower.dispatch(kind)
        self.cleanup.callback(self.lower.register, kind, right)
        # Nobody else does: the reference may be the plugin under test, and the oracle that it is compared with.
        self.lower.register(
            kind, lambda layer, site: wrong(right, layer, site) if self.building else right(layer, site)
        )

    def verify(self, architecture: Architecture) -> ParityResult:
        """How far the plugin gets, fault and all."""

        def build_model(architecture: Any, plan: Any) -> Any:
            self.building = True
            try:
                return self.plugin.build_model(architecture, plan)
            finally:
                self.building = False

        module = copy_of(self.plugin, build_model=build_model, **self.hooks)
        framework = Framework(module, "the mutant", "mutant")
        info = framework.framework_info()
        subject = Subject(framework=framework, info=info, device="cpu", threads=1, seed=SEED, source=ModelSource(""))
        return parity_of(subject, architecture.name, architecture, (("fp32", info.default_execution),))


Plant = Callable[[Mutant], None]


@frozen
class Fault:
    """A fault, the model that shows it, and the first rung that catches it.

    plant: None where it takes the framework's own code.
    """

    architecture: Architecture
    rung: str
    plant: Plant | None = None


def _changed(kind: type[Layer], **fields: Any) -> Plant:
    return lambda mutant: mutant.lowers(kind, lambda right, layer, site: right(evolve(layer, **fields), site))


def _transposed_kernel(mutant: Mutant) -> None:
    """Binds a dense kernel with its axes the other way round. Where it is square, only its products tell."""

    def wrong(right: Callable[..., Any], layer: Dense, site: Any) -> Any:
        native = right(layer, site)
        bound = site.bindings[join(site.path, "kernel")]
        if site.shape[-1] == layer.features:
            site.bind("kernel", bound.native, (1, 0) if bound.axes is None else None)
        return native

    mutant.lowers(Dense, wrong)


def _float32_rate(mutant: Mutant) -> None:
    def make_session(model: Any, weights: Any, plan: Any) -> Any:
        rate = float(np.float32(plan.optimizer.learning_rate))
        return mutant.plugin.make_session(
            model, weights, evolve(plan, optimizer=evolve(plan.optimizer, learning_rate=rate))
        )

    mutant.hooks["make_session"] = make_session


def _labels_off_by_one(mutant: Mutant) -> None:
    def place_batch(session: Any, batch: Any) -> Any:
        return mutant.plugin.place_batch(session, Batch(batch.x, (batch.y + 1) % np.int32(MLP.num_classes)))

    mutant.hooks["place_batch"] = place_batch


def _batches_out_of_order(mutant: Mutant) -> None:
    """The fifth training batch comes before the fourth."""
    seen: list[Any] = []

    def train_step(session: Any, batch: Any) -> Any:
        seen.append(batch)
        if len(seen) == 4:
            batch = mutant.plugin.place_batch(session, learnable_batch(MLP, BATCH, SEED + 4))
        elif len(seen) == 5:
            batch = seen[3]
        return mutant.plugin.train_step(session, batch)

    mutant.hooks["train_step"] = train_step


FAULTS = {
    "BatchNorm's eps is 1e-3": Fault(RESNET, "layers", _changed(BatchNorm, epsilon=1e-3)),
    "BatchNorm's momentum is .99": Fault(RESNET, "lock-step weights", _changed(BatchNorm, momentum=0.99)),
    "'same' padding is asymmetric": Fault(RESNET, "layers"),
    "gelu is the tanh approximation": Fault(BERT, "layers"),
    "the bias is left out": Fault(MLP, "structure", _changed(Dense, use_bias=False)),
    "the bias is held and not added": Fault(MLP, "layers"),
    "the learning rate is a float32, SGD": Fault(MLP, "lock-step losses", _float32_rate),
    "the learning rate is a float32, AdamW": Fault(BERT, "lock-step losses", _float32_rate),
    "Adam's epsilon is inside the root": Fault(ADAMW, "lock-step losses"),
    "weight decay is on the wrong side": Fault(ADAMW, "lock-step losses"),
    "a kernel is transposed": Fault(MLP, "layers", _transposed_kernel),
    "the attention scale is wrong": Fault(BERT, "layers"),
    "the causal mask is left out": Fault(GPT, "layers", _changed(SelfAttention, causal=False)),
    "RMSNorm's eps is 1e-3": Fault(GPT, "layers", _changed(RMSNorm, epsilon=1e-3)),
    "dropout is left on in evaluation": Fault(BERT, "layers"),
    "labels are off by one": Fault(MLP, "gradients", _labels_off_by_one),
    "a batch is out of order": Fault(MLP, "lock-step losses", _batches_out_of_order),
}
"""By name. The rung is the first that does not hold; what stands behind it is not checked."""


class Mutations:
    """Subclass it and set `plugin` (the module that your entry point names), `lowering` (the module that holds your `lower`),
    and in `faults` how your framework gets each fault of FAULTS that has no `plant`.

    controls: rewritings that stand behind a fault, done right, with the model they are checked on: these must be verified, so
    that it is the fault that is caught and not the rewriting.
    """

    plugin: ClassVar[Any]
    lowering: ClassVar[ModuleType]
    faults: ClassVar[Mapping[str, Plant]]
    controls: ClassVar[Mapping[str, tuple[Architecture, Plant]]] = {}

    @pytest.fixture
    def mutant(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mutant]:
        """The plugin without a fault."""
        with ExitStack() as cleanup:
            yield Mutant(plugin=self.plugin, lower=self.lowering.lower, patch=monkeypatch, cleanup=cleanup)

    def test_every_fault_is_planted(self) -> None:
        missing = [name for name, fault in FAULTS.items() if fault.plant is None and name not in self.faults]
        assert not missing, f"plant {missing} too"
        assert set(self.faults) <= set(FAULTS), f"no such faults: {set(self.faults) - set(FAULTS)}"

    @pytest.mark.parametrize("name", FAULTS)
    def test_a_planted_fault_is_caught_and_placed(self, mutant: Mutant, name: str) -> None:
        fault = FAULTS[name]
        plant = self.faults.get(name, fault.plant)
        assert plant is not None
        plant(mutant)
        checked = mutant.verify(fault.architecture)
        failure = checked.first_failure()
        assert failure is not None, f"nothing was caught: {checked.rungs}"
        assert failure.name == fault.rung, failure.describe()
        assert checked.verdict == "failed"
        assert failure.where or failure.note
        assert "\n" not in failure.describe()

    @pytest.mark.parametrize("architecture", [MLP, RESNET, BERT, GPT], ids=lambda architecture: architecture.name)
    def test_without_a_fault_every_rung_holds(self, mutant: Mutant, architecture: Architecture) -> None:
        checked = mutant.verify(architecture)
        assert checked.verdict == "verified", checked.first_failure()
        assert [rung.number for rung in checked.rungs] == [1, 2, 3, 4, 4, 5, 6, 6, 7]

    def test_a_rewriting_without_its_fault_holds(self, mutant: Mutant) -> None:
        for name, (architecture, plant) in self.controls.items():
            plant(mutant)
            failure = mutant.verify(architecture).first_failure()
            assert failure is None, f"{name}: {failure.describe()}"
