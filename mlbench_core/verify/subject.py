"""What is verified: a framework beside the reference, ready to make twins of an architecture."""

from __future__ import annotations

from typing import Any

from attrs import evolve, field, frozen

from mlbench_core.architecture import Architecture, Weights
from mlbench_core.devices import number_of
from mlbench_core.errors import PluginError
from mlbench_core.hookspecs import FrameworkInfo
from mlbench_core.installed import REFERENCE
from mlbench_core.plugins import Framework, native_model
from mlbench_core.reference import plugin as reference_plugin
from mlbench_core.trial import ModelSource, Plan
from mlbench_core.verify.twin import twin

BATCH = 16
"""Samples per batch, at least: enough for BatchNorm's statistics over single pixels, few enough for float64 on two cores."""


def _reference() -> Framework:
    """The core's own, whoever else claims its name or disables it for a run."""
    return Framework(reference_plugin, "the reference", REFERENCE)


@frozen(kw_only=True)
class Subject:
    """A framework and the reference, ready to make twins of an architecture."""

    framework: Framework
    info: FrameworkInfo
    device: str
    threads: int
    seed: int
    source: ModelSource
    tuned: bool = False
    reference: Framework = field(factory=_reference)

    @property
    def batch(self) -> int:
        """Samples per batch: so many that several devices, of several nodes, can share them equally."""
        return BATCH + -BATCH % (number_of(self.device) * self.framework.num_nodes)

    @property
    def hand_written(self) -> bool:
        """Whether the model names a native build for the framework; that may still leave an architecture to the lowering."""
        return self.framework.name in self.source.native

    def built_natively(self, architecture: Architecture, runs: tuple[tuple[str, str], ...]) -> bool:
        """Whether the framework's model is hand-written, in float64 and in all of `runs` alike.

        Raises PluginError if it is in some only: what float64 proves would then be said of another model.
        """
        if not self.hand_written:
            return False
        name = self.framework.name
        kinds = [kind for kind in (("fp64", "default"), *runs) if not self.info.refusal(*kind)]
        made = {
            kind: native_model(self.source, name, architecture, self._plan(architecture, self.device, *kind))
            is not None
            for kind in kinds
        }
        if len(set(made.values())) > 1:
            lacking = ", ".join(precision for (precision, _), here in made.items() if not here)
            raise PluginError(f"the native build leaves {lacking} to the lowering and takes the others itself")
        return any(made.values())

    def found(
        self, architecture: Architecture, weights: Weights, precision: str = "fp64", execution: str = "default"
    ) -> Any:
        """The framework's twin; use as a context."""
        plan = self._plan(architecture, self.device, precision, execution)
        return twin(self.framework, self.source, architecture, weights, plan)

    def expected(self, architecture: Architecture, weights: Weights) -> Any:
        """The reference's twin in float64; use as a context."""
        source = evolve(self.source, native={})
        return twin(self.reference, source, architecture, weights, self._plan(architecture, "cpu", "fp64", "eager"))

    def _plan(self, architecture: Architecture, device: str, precision: str, execution: str) -> Plan:
        name = self.info.default_execution if execution == "default" else execution
        return Plan(
            device=device,
            precision=precision,
            execution=name,
            batch_size=self.batch,
            optimizer=architecture.optimizer,
            loss=architecture.loss,
            threads=self.threads,
            seed=self.seed,
            task="train",
            tuned=self.tuned,
        )
