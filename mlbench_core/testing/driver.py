"""A framework's hooks, driven one session at a time as a worker drives them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pluggy

from mlbench_core.architecture import Architecture, Weights
from mlbench_core.hookspecs import Batch, FrameworkInfo, FrameworkSpec, Gradients
from mlbench_core.trial import Plan


class Trainee:
    """One session: host arrays go in, host arrays come out."""

    def __init__(self, hook: Any, architecture: Architecture, weights: Weights, plan: Plan) -> None:
        self.hook = hook
        self.session = hook.make_session(
            model=hook.build_model(architecture=architecture, plan=plan), weights=weights, plan=plan
        )

    def place(self, batch: Batch) -> Any:
        """The batch as the framework wants it."""
        return self.hook.place_batch(session=self.session, batch=batch)

    def _read(self, value: Any) -> npt.NDArray[Any]:
        self.hook.synchronize(session=self.session, value=value)
        array: npt.NDArray[Any] = self.hook.to_numpy(session=self.session, value=value)
        return array

    def train(self, batch: Batch) -> float:
        """The loss before one update."""
        return self.train_placed(self.place(batch))

    def train_placed(self, placed: Any) -> float:
        """The loss before one update with what `place` returned."""
        return float(self._read(self.hook.train_step(session=self.session, batch=placed)))

    def infer(self, batch: Batch) -> npt.NDArray[Any]:
        """Logits in evaluation mode."""
        return self._read(self.hook.infer(session=self.session, batch=self.place(batch)))

    def gradients(self, batch: Batch, cotangent: npt.NDArray[Any] | None = None) -> Gradients:
        """See the hook."""
        found: Gradients = self.hook.gradients(session=self.session, batch=self.place(batch), cotangent=cotangent)
        return found

    def weights(self) -> Weights:
        """See the hook `read_weights`."""
        found: Weights = self.hook.read_weights(session=self.session)
        return found

    def save(self, path: Path) -> Path:
        """See the hook."""
        return Path(self.hook.save(session=self.session, path=path))

    def load(self, path: Path) -> None:
        """Goes on with what was saved, as the hook says."""
        self.session = self.hook.load(session=self.session, path=path)


class Driver:
    """A plugin with its hooks checked against the contract: unknown hooks and parameters raise pluggy's own errors."""

    def __init__(self, plugin: object) -> None:
        manager = pluggy.PluginManager("mlbench")
        manager.add_hookspecs(FrameworkSpec)
        manager.register(plugin)
        manager.check_pending()
        self.hook = manager.hook

    @cached_property
    def info(self) -> FrameworkInfo:
        """What the framework says it offers; the first use may import it."""
        found: FrameworkInfo = self.hook.framework_info()
        return found

    def offers(self, name: str) -> bool:
        """Whether the plugin implements the hook `name`."""
        return bool(getattr(self.hook, name).get_hookimpls())

    @contextmanager
    def session(self, architecture: Architecture, weights: Weights, plan: Plan) -> Iterator[Trainee]:
        """A session, closed at the end."""
        trainee = Trainee(self.hook, architecture, weights, plan)
        try:
            yield trainee
        finally:
            if self.offers("close_session"):
                self.hook.close_session(session=trainee.session)
