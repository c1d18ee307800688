"""The framework `tensorflow`: mlbench's hooks. TensorFlow is imported by the first hook that needs it, not by this module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlbench_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from mlbench_core.architecture import Architecture, Weights
    from mlbench_core.hookspecs import Batch, FrameworkInfo, Gradients
    from mlbench_core.record import MemoryReading
    from mlbench_core.trial import Plan
    from mlbench_tf.training import Model, Session

CPU_DEVICES = "MLBENCH_TF_CPU_DEVICES"
"""Set where the process is to make so many devices of its CPU, which offer fewer executions than one."""


@hookimpl
def worker_environment(plan: Plan) -> dict[str, str]:
    """Keras on TensorFlow, errors only in the log, and device memory taken as needed.

    The growth is set here as well as in `settings.apply`, because a model's own native build may start the runtime first.
    """
    devices = {CPU_DEVICES: str(plan.num_devices)} if plan.num_devices > 1 and not plan.accelerated else {}
    return {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2", "TF_FORCE_GPU_ALLOW_GROWTH": "true", **devices}


@hookimpl
def framework_info() -> FrameworkInfo:
    """What this TensorFlow is and sees; does not start its runtime."""
    from mlbench_tf import settings

    return settings.framework_info()


@hookimpl
def build_model(architecture: Architecture, plan: Plan) -> Model:
    """A functional Keras model, with the place of every parameter in it."""
    from mlbench_tf import training

    return training.build_model(architecture, plan)


@hookimpl
def make_session(model: Model, weights: Weights, plan: Plan) -> Session:
    """The model with its weights, an optimiser, and the steps wrapped for the plan's execution."""
    from mlbench_tf import training

    return training.make_session(model, weights, plan)


@hookimpl
def place_batch(session: Session, batch: Batch) -> tuple[Any, Any]:
    """(x, y) as tensors on the session's device."""
    from mlbench_tf import training

    return training.place_batch(session, batch)


@hookimpl
def train_step(session: Session, batch: tuple[Any, Any]) -> Any:
    """One update; the loss as a tensor."""
    return session.step(*batch)


@hookimpl
def infer(session: Session, batch: tuple[Any, Any]) -> Any:
    """The logits as a tensor."""
    return session.predict(batch[0])


@hookimpl
def synchronize(session: Session, value: Any) -> bool:
    """Waits for every stream of every device, so for `value` and all that was asked before."""
    import tensorflow as tf

    tf.test.experimental.sync_devices()
    return True


@hookimpl
def to_numpy(session: Session, value: Any) -> npt.NDArray[Any]:
    """The tensor on the host; 16-bit values as float32."""
    from mlbench_tf import training

    return training.to_numpy(value)


@hookimpl
def gradients(session: Session, batch: tuple[Any, Any], cotangent: npt.NDArray[Any] | None) -> Gradients:
    """One forward and backward pass in the session's own execution."""
    from mlbench_tf import training

    return training.gradients(session, batch, cotangent)


@hookimpl
def read_weights(session: Session) -> Weights:
    """Copies of every parameter and running statistic."""
    from mlbench_tf import training

    return training.read_weights(session)


@hookimpl
def memory_probe(session: Session) -> list[MemoryReading]:
    """The allocator's own counters on a GPU; TensorFlow keeps none for the CPU."""
    from mlbench_tf import memory

    return memory.readings(session.device, session.plan.num_devices)


@hookimpl
def read_knobs(session: Session) -> dict[str, str]:
    """TF32, threads, memory growth, oneDNN, layout, dtype policy and the loss scale."""
    from mlbench_tf import training

    return training.read_knobs(session)


@hookimpl
def compilations(session: Session) -> int:
    """Traces of the session's functions; none in eager mode."""
    from mlbench_tf import training

    return training.compilations(session)


@hookimpl
def save(session: Session, path: Path) -> Path:
    """Keras's own weights file, `path`.weights.h5."""
    from mlbench_tf import training

    return training.save(session, path)


@hookimpl
def load(session: Session, path: Path) -> Session:
    """The same session: its variables are filled in place, so the traced functions stay valid."""
    from mlbench_tf import training

    return training.load(session, path)


@hookimpl
def close_session(session: Session) -> bool:
    """Drops the model, the optimiser and the traced functions."""
    session.close()
    return True
