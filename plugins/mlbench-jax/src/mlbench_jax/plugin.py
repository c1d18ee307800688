"""The hooks of the framework `jax`. Importing this module does not import JAX: the first hook that needs it does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mlbench_core.architecture import Architecture, Weights
from mlbench_core.devices import kind_of
from mlbench_core.hookspecs import Batch, FrameworkInfo, Gradients, hookimpl
from mlbench_core.record import MemoryReading
from mlbench_core.trial import Plan

if TYPE_CHECKING:
    import jax

    from mlbench_jax.lowering import Model
    from mlbench_jax.training import Placed, Session


@hookimpl
def worker_environment(plan: Plan) -> dict[str, str]:
    """Memory as it is needed, 64-bit types only where asked for, as many CPU devices as the plan has, and a first step
    that costs the same in every process."""
    on_cpu = kind_of(plan.device) == "cpu"
    several = on_cpu and plan.num_devices > 1
    meeting = (
        {
            "MLBENCH_JAX_MEETING": f"{plan.members[0]} {plan.num_nodes} {plan.node}",
            "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
        }
        if plan.num_nodes > 1
        else {}
    )
    return {
        "JAX_PLATFORMS": "cuda,cpu" if plan.accelerated else "cpu",
        "JAX_ENABLE_X64": "1" if plan.precision == "fp64" else "0",
        "JAX_ENABLE_COMPILATION_CACHE": "false",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        **({"JAX_NUM_CPU_DEVICES": str(plan.num_devices)} if several else {}),
        **meeting,
    }


@hookimpl
def framework_info() -> FrameworkInfo:
    """JAX on the GPU if it sees one, else on the CPU."""
    from mlbench_jax import settings

    return settings.framework_info()


@hookimpl
def build_model(architecture: Architecture, plan: Plan) -> Model:
    """Flax NNX modules, on the host until make_session places them."""
    from mlbench_jax import lowering

    return lowering.build(architecture, plan)


@hookimpl
def make_session(model: Model, weights: Weights, plan: Plan) -> Session:
    """The model's arrays on the device; its functions are compiled at their first call."""
    from mlbench_jax.training import Session

    return Session(model, weights, plan)


@hookimpl
def place_batch(session: Session, batch: Batch) -> Placed:
    """(x, y) on the device."""
    return session.place(batch)


@hookimpl
def train_step(session: Session, batch: Placed) -> jax.Array:
    """One update; the loss's array."""
    loss: jax.Array
    session.state, loss = session.program.step(session.state, *batch)
    if session.steps_alone:
        loss.block_until_ready()
    return loss


@hookimpl
def infer(session: Session, batch: Placed) -> jax.Array:
    """The logits' array."""
    params, others = session.state.variables
    logits: jax.Array = session.predict(params, others, batch[0])
    return logits


@hookimpl
def synchronize(session: Session, value: Any) -> bool:
    """Waits for the value and for the session's arrays."""
    import jax

    jax.block_until_ready((value, session.state))  # type: ignore[no-untyped-call]
    return True


@hookimpl
def to_numpy(session: Session, value: jax.Array) -> npt.NDArray[Any]:
    """The array on the host; 16-bit values as float32."""
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype.itemsize == 2 else array


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
    """The counters of XLA's allocator; none on a CPU."""
    from mlbench_jax import memory

    return memory.readings(session.placement.here)


@hookimpl
def read_knobs(session: Session) -> dict[str, str]:
    """Types and precision of products, threads, memory and caches, read back from JAX."""
    from mlbench_jax import knobs

    return knobs.read(session)


@hookimpl
def compilations(session: Session) -> int:
    """Compiled forms of the session's functions, one per shape and type of their arguments."""
    return session.compilations()


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
    """Frees the arrays and compiled code."""
    session.close()
    return True
