"""The hooks of the framework `numpy`. NumPy is imported with the core, so there is little to set up and nothing to wait for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlbench_core.architecture import Architecture, Weights
from mlbench_core.hookspecs import Batch, FrameworkInfo, Gradients, hookimpl
from mlbench_core.record import MemoryReading
from mlbench_core.reference import training
from mlbench_core.reference.training import Model, Session
from mlbench_core.trial import Plan


@hookimpl
def framework_info() -> FrameworkInfo:
    """NumPy on the CPU."""
    return FrameworkInfo(
        name="numpy",
        version=np.__version__,
        devices=("cpu",),
        precisions=tuple(training.DTYPES),
        executions=training.EXECUTIONS,
        default_execution="eager",
    )


@hookimpl
def build_model(architecture: Architecture, plan: Plan) -> Model:
    """Every layer as a module with a forward and a backward pass."""
    return training.build_model(architecture, plan)


@hookimpl
def make_session(model: Model, weights: Weights, plan: Plan) -> Session:
    """Weights in the plan's type, a fresh optimiser."""
    return training.make_session(model, weights, plan)


@hookimpl
def place_batch(session: Session, batch: Batch) -> Any:
    """(x, y) on the host."""
    return training.place_batch(session, batch)


@hookimpl
def train_step(session: Session, batch: Any) -> Any:
    """The loss, a NumPy scalar."""
    return training.train_step(session, batch)


@hookimpl
def infer(session: Session, batch: Any) -> npt.NDArray[Any]:
    """Logits (batch, classes)."""
    return training.infer(session, batch)


@hookimpl
def synchronize(session: Session, value: Any) -> bool:
    """NumPy returns when it is done."""
    return True


@hookimpl
def to_numpy(session: Session, value: Any) -> npt.NDArray[Any]:
    """The value is one already."""
    return np.asarray(value)


@hookimpl
def gradients(session: Session, batch: Any, cotangent: npt.NDArray[Any] | None) -> Gradients:
    """One forward and backward pass without an update."""
    return training.gradients(session, batch, cotangent)


@hookimpl
def read_weights(session: Session) -> Weights:
    """Copies of all variables."""
    return training.read_weights(session)


@hookimpl
def memory_probe(session: Session) -> list[MemoryReading]:
    """NumPy counts no memory of its own; the process's peak is the core's to read."""
    return []


@hookimpl
def read_knobs(session: Session) -> dict[str, str]:
    """The BLAS behind NumPy's products, and its threads where threadpoolctl is installed."""
    try:
        from threadpoolctl import threadpool_info  # type: ignore[import-untyped]
    except ImportError:
        built_with: Any = np.show_config("dicts")
        blas = built_with["Build Dependencies"]["blas"]
        return {"blas": f"{blas['name']} {blas['version']}"}
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    numpys = [pool for pool in pools if "numpy" in pool["filepath"]] or pools  # SciPy may bring a BLAS of its own
    if not numpys:
        return {}
    return {
        "blas": f"{numpys[0]['internal_api']} {numpys[0]['version']}",
        "blas_threads": str(numpys[0]["num_threads"]),
    }


@hookimpl
def compilations(session: Session) -> int:
    """Nothing ever is."""
    return 0


@hookimpl
def save(session: Session, path: Path) -> Path:
    """One array per parameter and running statistic, in NumPy's own archive."""
    archive = path.with_name(f"{path.name}.npz")
    weights: dict[str, Any] = training.read_weights(session)
    np.savez(archive, **weights)
    return archive


@hookimpl
def load(session: Session, path: Path) -> Session:
    """The same model with the saved arrays and a fresh optimiser."""
    with np.load(path, allow_pickle=False) as archive:
        return training.make_session(session.model, dict(archive), session.plan)


@hookimpl
def close_session(session: Session) -> bool:
    """The garbage collector frees the arrays once the caller drops the session."""
    return True
