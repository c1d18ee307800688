"""What the kits for optimisers and for losses share: a model is trained with what the descriptor names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from mlbench_core.architecture import Architecture, initial_weights
from mlbench_core.installed import REFERENCE
from mlbench_core.plugins import Framework, build_architecture
from mlbench_core.reference import plugin as reference
from mlbench_core.testing.models import verified
from mlbench_core.testing.parent import DescriptorConformance
from mlbench_core.trial import ModelSource, Plan
from mlbench_core.verify.twin import Twin, twin

BATCH, CLASSES, STEPS = 16, 10, 50
"""Of training on one batch, where whatever makes a loss smaller at all has done so."""


class TrainedWith(DescriptorConformance):
    """model: the import string of the factory of the model that it is tried on, for samples of `shape`. frameworks: the names
    of those, installed here, in which training with it is to be verified against the reference."""

    model: ClassVar[str] = "mlbench_core.models.mlp:mlp"
    shape: ClassVar[tuple[int, ...]] = (16,)
    frameworks: ClassVar[tuple[str, ...]] = (REFERENCE,)

    @classmethod
    def source(cls) -> ModelSource:
        """The model, trained with it."""
        raise NotImplementedError

    @classmethod
    def built(cls) -> Any:
        """What the descriptor's function makes, anew."""
        raise NotImplementedError

    @classmethod
    def architecture(cls) -> Architecture:
        """The model, with it."""
        return build_architecture(cls.source(), cls.shape, CLASSES)

    @classmethod
    @contextmanager
    def session(cls, architecture: Architecture) -> Iterator[Twin]:
        """The reference's, in float64, at the initial weights."""
        plan = Plan(
            device="cpu", precision="fp64", execution="eager", batch_size=BATCH, optimizer=architecture.optimizer,
            loss=architecture.loss, threads=1, seed=0, task="train",
        )  # fmt: skip
        framework, weights = Framework(reference, "the reference", REFERENCE), initial_weights(architecture, 0)
        with twin(framework, cls.source(), architecture, weights, plan) as made:
            yield made

    def test_the_function_makes_the_same_again(self) -> None:
        one, two = self.built(), self.built()
        assert one == two, "the function makes another one at each call: take chance and time out of it"
        assert one.name == self.descriptor.name, (
            f"what it makes is called {one.name!r}, and its descriptor {self.descriptor.name!r}"
        )

    def test_parity(self) -> None:
        """The ladder of `mlbench verify`, in a worker for each framework."""
        architecture = self.architecture()
        wrong = [
            f"{name}: {why}"
            for name in self.frameworks
            if (why := verified(name, self.descriptor.name, self.source(), architecture))
        ]
        assert not wrong, "; ".join(wrong)
