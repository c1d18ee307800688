"""One session of a framework, with host arrays in and host arrays out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy.typing as npt

from mlbench_core.architecture import Architecture, Weights
from mlbench_core.hookspecs import Batch, Gradients
from mlbench_core.plugins import Framework, build_model
from mlbench_core.trial import ModelSource, Plan


class Twin:
    """A model in one framework. Its twin in the reference has the same weights and sees the same batches."""

    def __init__(self, framework: Framework, session: Any) -> None:
        self._framework, self._session = framework, session

    def _read(self, value: Any) -> npt.NDArray[Any]:
        self._framework.synchronize(self._session, value)
        array: npt.NDArray[Any] = self._framework.to_numpy(self._session, value)
        return array

    def train(self, batch: Batch) -> float:
        """The loss before one update."""
        placed = self._framework.place_batch(self._session, batch)
        return float(self._read(self._framework.train_step(self._session, placed)))

    def infer(self, batch: Batch) -> npt.NDArray[Any]:
        """Logits in evaluation mode."""
        placed = self._framework.place_batch(self._session, batch)
        return self._read(self._framework.infer(self._session, placed))

    def gradients(self, batch: Batch, cotangent: npt.NDArray[Any] | None = None) -> Gradients:
        """See the hook."""
        placed = self._framework.place_batch(self._session, batch)
        found: Gradients = self._framework.gradients(self._session, placed, cotangent)
        return found

    def weights(self) -> Weights:
        """See the hook `read_weights`."""
        found: Weights = self._framework.read_weights(self._session)
        return found


@contextmanager
def twin(
    framework: Framework, source: ModelSource, architecture: Architecture, weights: Weights, plan: Plan
) -> Iterator[Twin]:
    """A session of the architecture with these weights, closed at the end."""
    model = build_model(framework, source, architecture, plan)
    session = framework.make_session(model, weights, plan)
    try:
        yield Twin(framework, session)
    finally:
        framework.close_session(session)
