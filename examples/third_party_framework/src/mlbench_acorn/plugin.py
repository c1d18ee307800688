"""The hooks of the framework acorn, as `mlbench_core/hookspecs.py` describes them.

It computes in NumPy, so that it works before it is yours. A worker imports this module before it sets the environment: import
your framework in `training.py` and `lowering.py`, which the hooks import when they are called.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench_core.architecture import Architecture, Weights
from mlbench_core.hookspecs import Batch, FrameworkInfo, Gradients, hookimpl
from mlbench_core.trial import Plan

if TYPE_CHECKING:
    from mlbench_acorn.training import Session


@hookimpl
def framework_info() -> FrameworkInfo:
    """What it is and offers."""
    # TODO 1: your framework's version, and only what it really offers. Without "fp64" parity cannot be proven.
    return FrameworkInfo(
        name="acorn",
        version="0.1",
        devices=("cpu",),
        precisions=("fp32", "fp64"),
        executions=("eager",),
        default_execution="eager",
    )


@hookimpl
def build_model(architecture: Architecture, plan: Plan) -> Any:
    """The architecture lowered, see lowering.py."""
    from mlbench_acorn import training

    refused = framework_info().refusal(plan.precision, plan.execution)
    return training.build(architecture, refused)


@hookimpl
def make_session(model: Any, weights: Weights, plan: Plan) -> Session:
    """The model with its weights and optimiser."""
    from mlbench_acorn import training

    return training.make_session(model, weights, plan)


@hookimpl
def place_batch(session: Session, batch: Batch) -> Any:
    """The batch on the device."""
    return session.place(batch)


@hookimpl
def train_step(session: Session, batch: Any) -> Any:
    """One optimiser step; the loss before it."""
    return session.step(*batch)


@hookimpl
def infer(session: Session, batch: Any) -> Any:
    """Logits."""
    return session.model.forward(batch[0])


@hookimpl
def synchronize(session: Session, value: Any) -> bool:
    """NumPy is done when it returns."""
    # TODO 5: wait here until the device has computed `value`, if your framework does not. Forgetting it makes it look fast.
    return True


@hookimpl
def to_numpy(session: Session, value: Any) -> Any:
    """The value on the host."""
    import numpy as np

    return np.asarray(value)


@hookimpl
def gradients(session: Session, batch: Any, cotangent: Any) -> Gradients:
    """One pass without an update, for the parity ladder."""
    x, labels = batch
    return session.gradients(x, labels, cotangent)


@hookimpl
def read_weights(session: Session) -> Weights:
    """Every parameter by path, in the tree's layout."""
    return {name: value.array.copy() for name, value in session.values.items()}


# TODO 6: the optional hooks that your framework can answer: worker_environment, inference_mode, memory_probe, read_knobs,
# compilations.


@hookimpl
def save(session: Session, path: Path) -> Path:
    """The model in the framework's own format."""
    import numpy as np

    written = path.with_name(f"{path.name}.npz")
    arrays: dict[str, Any] = read_weights(session)
    np.savez(written, **arrays)
    return written


@hookimpl
def load(session: Session, path: Path) -> Session:
    """A session with what was saved, and a fresh optimiser."""
    import numpy as np

    from mlbench_acorn import training

    with np.load(path, allow_pickle=False) as arrays:
        return training.make_session((session.architecture, session.model, session.values), dict(arrays), session.plan)


@hookimpl
def close_session(session: Session) -> bool:
    """Nothing is held but memory."""
    return True
