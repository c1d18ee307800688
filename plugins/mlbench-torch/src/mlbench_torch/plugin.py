"""The hooks of the framework `pytorch`. Importing this module does not import PyTorch: the first hook that needs it does."""

from __future__ import annotations

import tempfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from mlbench_core.architecture import Architecture, Weights
from mlbench_core.hookspecs import Batch, FrameworkInfo, Gradients, hookimpl
from mlbench_core.record import MemoryReading
from mlbench_core.trial import Plan

if TYPE_CHECKING:
    from torch import Tensor

    from mlbench_torch.lowering import Model
    from mlbench_torch.training import Placed, Session


@hookimpl
def worker_environment(plan: Plan) -> dict[str, str]:
    """Without what earlier processes have compiled, torch.compile's first step costs the same in every process: the worker's
    folder for temporary files is its own."""
    if plan.execution != "compiled":
        return {}
    own = tempfile.gettempdir()
    return {
        "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",
        "TORCHINDUCTOR_CACHE_DIR": f"{own}/inductor",
        "TRITON_CACHE_DIR": f"{own}/triton",
    }


@hookimpl
def framework_info() -> FrameworkInfo:
    """PyTorch on the GPU if it sees one, else on the CPU."""
    from mlbench_torch import settings

    return settings.framework_info()


@hookimpl
def build_model(architecture: Architecture, plan: Plan) -> Model:
    """torch.nn modules, on the host until make_session places them."""
    from mlbench_torch import lowering, settings

    settings.apply(plan)  # before anything starts PyTorch's threads
    return lowering.build(architecture)


@hookimpl
def make_session(model: Model, weights: Weights, plan: Plan) -> Session:
    """The model on the device with `weights`; torch.compile waits for the first step."""
    if plan.num_devices > 1:
        from mlbench_torch.distributed import Leader

        return Leader(model, weights, plan)
    if plan.num_nodes > 1:
        from mlbench_torch.distributed import OnNode

        return OnNode(model, weights, plan)
    from mlbench_torch.training import Session

    return Session(model, weights, plan)


@hookimpl
def place_batch(session: Session, batch: Batch) -> Placed:
    """Tensors on the device; images in channels_last."""
    return session.place(batch)


@hookimpl
def train_step(session: Session, batch: Placed) -> Tensor:
    """One update; the loss's tensor."""
    return session.train_step(batch)


@hookimpl
def infer(session: Session, batch: Placed) -> Tensor:
    """The logits' tensor."""
    return session.infer(batch)


@hookimpl
def inference_mode(session: Session) -> AbstractContextManager[Any]:
    """PyTorch's own, and the model in evaluation mode."""
    return session.inference_mode()


@hookimpl
def synchronize(session: Session, value: Any) -> bool:
    """Waits for all work on the device."""
    session.synchronize()
    return True


@hookimpl
def to_numpy(session: Session, value: Tensor) -> npt.NDArray[Any]:
    """The tensor on the host."""
    from mlbench_torch.training import to_numpy

    return to_numpy(value)


@hookimpl
def gradients(session: Session, batch: Placed, cotangent: npt.NDArray[Any] | None) -> Gradients:
    """One forward and backward pass without an update."""
    return session.gradients(batch, cotangent)


@hookimpl
def read_weights(session: Session) -> Weights:
    """Copies of all parameters and running statistics."""
    return session.read_weights()


@hookimpl
def memory_probe(session: Session) -> list[MemoryReading]:
    """The counters of the caching allocator; none on a CPU."""
    return session.memory()


@hookimpl
def read_knobs(session: Session) -> dict[str, str]:
    """TF32, threads, cuDNN's search, layout, precision and optimiser, read back from PyTorch."""
    return session.knobs()


@hookimpl
def compilations(session: Session) -> int:
    """Graphs that torch.compile has made in this process; none in eager mode."""
    return session.compilations()


@hookimpl
def save(session: Session, path: Path) -> Path:
    """`path`.pt, by torch.save."""
    return session.save(path)


@hookimpl
def load(session: Session, path: Path) -> Session:
    """The same session with the saved model and a fresh optimiser; nothing compiles again."""
    session.load(path)
    return session


@hookimpl
def close_session(session: Session) -> bool:
    """Frees the model, the optimiser and compiled code."""
    session.close()
    return True
