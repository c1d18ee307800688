"""One session of a framework, with host arrays in and host arrays out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlbench_core.architecture import Architecture, Weights
from mlbench_core.errors import PluginError
from mlbench_core.hookspecs import Batch, Gradients
from mlbench_core.plugins import Framework, build_model
from mlbench_core.trial import ModelSource, Plan

SKIPS = 16
"""Updates in a row that a framework may skip (own): 16 halvings take a scale of 2**15 to less than 1, so what still overflows
then is the model's own fault."""


class Twin:
    """A model in one framework. Its twin in the reference has the same weights and sees the same batches.

    scaled: the names of the trainable parameters where the loss is scaled, so that an update may be skipped; else nothing.
    """

    def __init__(self, framework: Framework, session: Any, scaled: frozenset[str] = frozenset()) -> None:
        self.framework, self.session, self.scaled = framework, session, scaled

    def place(self, batch: Batch) -> Any:
        """The batch as the framework wants it."""
        return self.framework.place_batch(self.session, batch)

    def _read(self, value: Any) -> npt.NDArray[Any]:
        self.framework.synchronize(self.session, value)
        array: npt.NDArray[Any] = self.framework.to_numpy(self.session, value)
        return array

    def train(self, batch: Batch) -> float:
        """The loss before one update. One that is skipped, as frameworks do while their scale of a float16 loss is too large,
        is made again: its twin has made it, too. Raises PluginError if it never is made."""
        placed = self.place(batch)
        if not self.scaled:
            return self.train_placed(placed)
        for _ in range(1 + SKIPS):
            before = self._trained()
            loss = self.train_placed(placed)
            if any(not np.array_equal(value, before[name]) for name, value in self._trained().items()):
                return loss
        raise PluginError(f"{self.framework.name}: no weight has changed in {1 + SKIPS} steps on the same batch")

    def _trained(self) -> Weights:
        return {name: np.array(value) for name, value in self.weights().items() if name in self.scaled}

    def train_placed(self, placed: Any) -> float:
        """The loss before one update with what `place` returned."""
        return float(self._read(self.framework.train_step(self.session, placed)))

    def infer(self, batch: Batch) -> npt.NDArray[Any]:
        """Logits in evaluation mode."""
        return self._read(self.framework.infer(self.session, self.place(batch)))

    def gradients(self, batch: Batch, cotangent: npt.NDArray[Any] | None = None) -> Gradients:
        """See the hook."""
        found: Gradients = self.framework.gradients(self.session, self.place(batch), cotangent)
        return found

    def weights(self) -> Weights:
        """See the hook `read_weights`."""
        found: Weights = self.framework.read_weights(self.session)
        return found

    def save(self, path: Path) -> Path:
        """See the hook."""
        return Path(self.framework.save(self.session, path))

    def load(self, path: Path) -> None:
        """Goes on with what was saved, as the hook says."""
        self.session = self.framework.load(self.session, path)


@contextmanager
def twin(
    framework: Framework, source: ModelSource, architecture: Architecture, weights: Weights, plan: Plan
) -> Iterator[Twin]:
    """A session of the architecture with these weights, closed at the end."""
    model = build_model(framework, source, architecture, plan)
    trained = frozenset(parameter.name for parameter in architecture.parameters() if parameter.trainable)
    session = framework.make_session(model, weights, plan)
    made = Twin(framework, session, trained if plan.precision == "fp16" else frozenset())
    try:
        yield made
    finally:
        framework.close_session(made.session)
