"""The contract: every hook a plugin may implement, in the order in which a trial calls them.

A *framework* plugin is a module named in the entry-point group `mlbench.frameworks`. It is loaded in a worker process
only, alone, and must import light: the framework itself is imported by the first hook that needs it, after
`worker_environment` was applied. Any other plugin is a module in the group `mlbench.plugins` and is loaded in the parent.

What crosses the boundary is NumPy arrays and attrs values. Images are float32 (batch, height, width, channels), features
float32 (batch, features), sequences float32 (batch, length, features), tokens int32 (batch, length), labels int32 (batch,),
logits (batch, classes). A `Session` is the framework's own mutable state (model, optimiser, compiled step); the core never
looks inside. "Handle" means whatever the framework returns without waiting for the device; only `synchronize` and
`to_numpy` wait.

A hook that cannot do what it is asked raises `mlbench_core.errors.UnsupportedError` with a line that says what it can do.
The smallest plugin is `mlbench_core.reference.plugin`, in NumPy; read it next to this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy
from attrs import frozen

from mlbench_core.descriptors import DatasetDescriptor as DatasetDescriptor
from mlbench_core.descriptors import ExecutorDescriptor as ExecutorDescriptor
from mlbench_core.descriptors import LossDescriptor as LossDescriptor
from mlbench_core.descriptors import ModelDescriptor as ModelDescriptor
from mlbench_core.descriptors import OptimizerDescriptor as OptimizerDescriptor
from mlbench_core.descriptors import ReporterDescriptor as ReporterDescriptor
from mlbench_core.framework_info import FrameworkInfo as FrameworkInfo

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from mlbench_core.architecture import Architecture, Weights
    from mlbench_core.config import Config
    from mlbench_core.finished import FinishedRun
    from mlbench_core.record import MemoryReading, Record
    from mlbench_core.trial import Plan, Trial

hookspec = pluggy.HookspecMarker("mlbench")
hookimpl = pluggy.HookimplMarker("mlbench")
"""Marks a function as the implementation of the hook of the same name."""

Session = Any
Handle = Any


@frozen
class Batch:
    """One batch on the host. x as in the module's docstring; y int32 (batch,)."""

    x: npt.NDArray[Any]
    y: npt.NDArray[np.int32]


@frozen(kw_only=True)
class Gradients:
    """One backward pass. output: logits, or whatever the model returns; loss: over the batch, None under a cotangent;
    inputs: the gradient by x, None for token inputs; parameters: by path, in the tree's layout, trainable ones only."""

    output: npt.NDArray[Any]
    loss: float | None
    inputs: npt.NDArray[Any] | None
    parameters: Weights


class FrameworkSpec:
    """Group `mlbench.frameworks`: one framework, inside a worker."""

    @hookspec(firstresult=True)
    def worker_environment(self, plan: Plan) -> dict[str, str]:
        """Environment variables to set before the framework is imported; `plan.execution` may still be "default" here.

        CUDA_VISIBLE_DEVICES, the thread variables of BLAS and OpenMP, and a folder for temporary files that is this worker's
        alone (`tempfile.gettempdir()`) are set by the core already: caches of compiled code belong there. Example::

            @hookimpl
            def worker_environment(plan):
                return {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        """

    @hookspec(firstresult=True)
    def framework_info(self) -> FrameworkInfo:
        """What the framework is and offers, in this process. May import the framework."""

    @hookspec(firstresult=True)
    def build_model(self, architecture: Architecture, plan: Plan) -> Any:
        """The framework's own model for `architecture`, or None if it cannot build that: the trial is then unsupported.

        A model's descriptor may name a native `build_model` for one framework; it is asked first, in training and in the
        parity ladder alike, and takes or leaves an architecture whatever the plan's precision. What is returned must be what
        the framework's own `make_session` takes; its bindings say which of its parameters is which of the architecture's. The
        ladder compares it as a whole, and labels it unverified where the bindings do not fit.
        """

    @hookspec(firstresult=True)
    def make_session(self, model: Any, weights: Weights, plan: Plan) -> Session:
        """Puts the model on the device with `weights`, makes the optimiser, prepares the step (compiled lazily).

        weights: a float32 array for every parameter of the table, in the tree's layout; cast to the plan's type here.
        A loss (`plan.loss`) or an optimiser that the framework does not have is refused.
        Where `plan.task` is "infer" nobody asks for a training step: make no optimiser, whose memory would count in.
        """

    @hookspec(firstresult=True)
    def place_batch(self, session: Session, batch: Batch) -> Any:
        """The batch on the device, in the layout and type the model wants; may be asynchronous.

        Where several nodes share each batch (`plan.members`), every node is given its share, and makes the same calls: who has
        `across_nodes` sums gradients, losses and BatchNorm's statistics over all of them.
        """

    @hookspec(firstresult=True)
    def train_step(self, session: Session, batch: Any) -> Handle:
        """One optimiser step in training mode on a placed batch; returns the loss's handle. HOT: no waiting, no copies.

        Example::

            @hookimpl
            def train_step(session, batch):
                return session.step(*batch)
        """

    @hookspec(firstresult=True)
    def infer(self, session: Session, batch: Any) -> Handle:
        """Logits (batch, classes) in evaluation mode for a placed batch, as a handle. HOT: no waiting, no copies."""

    @hookspec(firstresult=True)
    def inference_mode(self, session: Session) -> AbstractContextManager[Any]:
        """For a framework that has such a mode: what a loop of `infer` is run in, entered once before its first call as users
        do. `infer` must give the same outside of it.

        Example::

            @hookimpl
            def inference_mode(session):
                return my_framework.no_gradients()
        """

    @hookspec(firstresult=True)
    def synchronize(self, session: Session, value: Handle) -> bool:
        """Returns True once `value` and all work that was asked of the session are done on the device."""

    @hookspec(firstresult=True)
    def to_numpy(self, session: Session, value: Handle) -> npt.NDArray[Any]:
        """The handle's value on the host; 16-bit values come as float32."""

    @hookspec(firstresult=True)
    def gradients(self, session: Session, batch: Any, cotangent: npt.NDArray[Any] | None) -> Gradients:
        """One forward and backward pass in training mode, without an update; used by the parity ladder, never timed.

        cotangent None: gradients of the plan's loss. Else: the vector-Jacobian product of the model's output with
        `cotangent`, an array of the output's shape.
        """

    @hookspec(firstresult=True)
    def read_weights(self, session: Session) -> Weights:
        """Every parameter and running statistic by path, in the tree's layout and the session's own type."""

    @hookspec(firstresult=True)
    def memory_probe(self, session: Session) -> list[MemoryReading]:
        """The framework's named memory counters for its device, in bytes. A counter it does not have is absent, never 0."""

    @hookspec(firstresult=True)
    def read_knobs(self, session: Session) -> dict[str, str]:
        """The settings that change speed or numbers, read back from the framework (TF32, threads, layout ...)."""

    @hookspec(firstresult=True)
    def compilations(self, session: Session) -> int:
        """How often anything of this session has been traced or compiled so far; 0 where nothing ever is.

        Read before and after measuring: a number that has grown means that a compilation was timed.
        """

    @hookspec(firstresult=True)
    def save(self, session: Session, path: Path) -> Path:
        """Writes the model (parameters and running statistics, not the optimiser) in the framework's own format.

        path: a name without a suffix in an existing folder. Returns the file or folder that was written.
        """

    @hookspec(firstresult=True)
    def load(self, session: Session, path: Path) -> Session:
        """A session with the model as saved at `path` (what `save` returned) and a fresh optimiser.

        The old session must not be used afterwards; compiled steps are kept, so nothing compiles again.
        """

    @hookspec(firstresult=True)
    def close_session(self, session: Session) -> bool:
        """Frees what the session holds. Returns True."""


class PluginSpec:
    """Group `mlbench.plugins` (and `mlbenchfile.py`): everything else, in the parent. Must import light."""

    @hookspec
    def register_models(self) -> list[ModelDescriptor]:
        """Models to add.

        Example::

            @hookimpl
            def register_models():
                return [ModelDescriptor(name="tiny", source=ModelSource("my_models:tiny"), takes="vector", description="")]
        """
        return []

    @hookspec
    def register_datasets(self) -> list[DatasetDescriptor]:
        """Data sets to add."""
        return []

    @hookspec
    def register_reporters(self) -> list[ReporterDescriptor]:
        """Reporters to add; each is called once at the end of a run."""
        return []

    @hookspec
    def register_executors(self) -> list[ExecutorDescriptor]:
        """Executors to add; the configuration's `executor` names one."""
        return []

    @hookspec
    def register_optimizers(self) -> list[OptimizerDescriptor]:
        """Optimisers to add; the configuration's `optimizer` names one.

        Example::

            @hookimpl
            def register_optimizers():
                return [OptimizerDescriptor(name="lion", source=OptimizerSource("my_rules:lion"), description="")]
        """
        return []

    @hookspec
    def register_losses(self) -> list[LossDescriptor]:
        """Losses to add; the configuration's `loss` names one.

        Example::

            @hookimpl
            def register_losses():
                return [LossDescriptor(name="smoothed", source=LossSource("my_losses:smoothed"), description="")]
        """
        return []

    @hookspec
    def run_started(self, config: Config, trials: tuple[Trial, ...], resumed: bool) -> None:
        """Called once at the beginning, when data and output folder are ready and nothing is verified or measured yet.

        trials: what will be run, in that order; of a resumed run what is left, which may be nothing. Blocks that are added
        later are not among them, and a batch that is still to be found (`batch_sizes: auto`) has the size 0. resumed: whether
        an earlier run goes on; `--resume` where there is none begins one. Example::

            @hookimpl
            def run_started(trials, resumed):
                my_chat.post(f"{'goes on' if resumed else 'begins'}: {len(trials)} trials")
        """

    @hookspec
    def trial_started(self, trial: Trial) -> None:
        """Called before each trial, just before its worker starts; also before one that fails without a worker.

        Several may be under way, for arms take turns, and nodes work side by side. If the run is interrupted, those may have
        no `trial_finished`.
        """

    @hookspec
    def trial_finished(self, record: Record) -> None:
        """Called after each trial, once its record is in the journal."""

    @hookspec
    def run_finished(self, results: FinishedRun) -> None:
        """Called once at the end with the run's `Results`."""
