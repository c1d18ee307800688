"""One session of a framework, with host arrays in and host arrays out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy.typing as npt

from mlbench_core.architecture import Architecture, Weights
from mlbench_core.hookspecs import Batch, Gradients
from mlbench_core.plugins import Framework, build_model
from mlbench_core.trial import ModelSource, Plan


class Twin:
    """A model in one framework. Its twin in the reference has the same weights and sees the same batches."""

    def __init__(self, framework: Framework, session: Any) -> None:
        self.framework, self.session = framework, session

    def place(self, batch: Batch) -> Any:
        """The batch as the framework wants it."""
        return self.framework.place_batch(self.session, batch)

    def _read(self, value: Any) -> npt.NDArray[Any]:
        self.framework.synchronize(self.session, value)
        array: npt.NDArray[Any] = self.framework.to_numpy(self.session, value)
        return array

    def train(self, batch: Batch) -> float:
        """The loss before one update."""
        return self.train_placed(self.place(batch))

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
    made = Twin(framework, framework.make_session(model, weights, plan))
    try:
        yield made
    finally:
        framework.close_session(made.session)
