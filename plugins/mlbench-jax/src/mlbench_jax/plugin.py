"""The hooks of the framework `jax`. Importing this module does not import JAX: the first hook that needs it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlbench_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    import jax
    import numpy.typing as npt

    from mlbench_core.architecture import Architecture, Weights
    from mlbench_core.hookspecs import Batch, FrameworkInfo, Gradients
    from mlbench_core.trial import MemoryReading, Plan
    from mlbench_jax.lowering import Model
    from mlbench_jax.training import Placed, Session


@hookimpl
def worker_environment(plan: Plan) -> dict[str, str]:
    """Backend, float64 where it is asked for, no preallocation, and a first step that costs the same in every process."""
    environment = {
        "JAX_PLATFORMS": "cuda,cpu" if plan.accelerated else "cpu",
        "JAX_ENABLE_X64": "1" if plan.precision == "fp64" else "0",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        # With a cache on disk, only the first process of a run would compile.
        "JAX_ENABLE_COMPILATION_CACHE": "false",
    }
    if not plan.accelerated:
        environment["NPROC"] = str(plan.threads)  # the size of the thread pools of XLA's CPU client
    return environment


@hookimpl
def framework_info() -> FrameworkInfo:
    """JAX on the GPU if it sees one, else on the CPU."""
    from mlbench_jax import settings

    return settings.framework_info()


@hookimpl
def build_model(architecture: Architecture, plan: Plan) -> Model:
    """Flax NNX modules; their parameters stay on the host until make_session places them."""
    from mlbench_jax import lowering

    return lowering.build(architecture, plan)


@hookimpl
def make_session(model: Model, weights: Weights, plan: Plan) -> Session:
    """The model's state on the device with `weights`; the step compiles when it is first called."""
    from mlbench_jax.training import Session

    return Session(model, weights, plan)


@hookimpl
def place_batch(session: Session, batch: Batch) -> Placed:
    """(x, y) as arrays on the session's device."""
    return session.place(batch)


@hookimpl
def train_step(session: Session, batch: Placed) -> jax.Array:
    """One update; the loss's array."""
    return session.train_step(batch)


@hookimpl
def infer(session: Session, batch: Placed) -> jax.Array:
    """The logits' array."""
    return session.infer(batch)


@hookimpl
def synchronize(session: Session, value: Any) -> bool:
    """Waits for the value and for the session's own arrays."""
    session.synchronize(value)
    return True


@hookimpl
def to_numpy(session: Session, value: jax.Array) -> npt.NDArray[Any]:
    """The array on the host; 16-bit values as float32."""
    from mlbench_jax.training import to_numpy

    return to_numpy(value)


@hookimpl
def gradients(session: Session, batch: Placed, cotangent: npt.NDArray[Any] | None) -> Gradients:
    """One forward and backward pass, jitted, without an update."""
    return session.gradients(batch, cotangent)


@hookimpl
def read_weights(session: Session) -> Weights:
    """Copies of all parameters and running statistics."""
    return session.read_weights()


@hookimpl
def memory_probe(session: Session) -> list[MemoryReading]:
    """The counters of XLA's allocator; none on a CPU."""
    from mlbench_jax import memory

    return memory.readings(session.device)


@hookimpl
def read_knobs(session: Session) -> dict[str, str]:
    """Matmul precision, float64 switch, threads, allocator, types and loss scale."""
    return session.knobs()


@hookimpl
def save(session: Session, path: Path) -> Path:
    """`path`.msgpack, by Flax's serialization."""
    return session.save(path)


@hookimpl
def load(session: Session, path: Path) -> Session:
    """The same session with the saved model and a fresh optimiser; nothing compiles again."""
    session.load(path)
    return session


@hookimpl
def close_session(session: Session) -> bool:
    """Frees the arrays and the compiled functions."""
    session.close()
    return True
