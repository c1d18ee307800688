"""What this TensorFlow offers, how a plan sets it up, and what it says of itself: the process-wide side of the plugin."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import keras
import tensorflow as tf

from mlbench_core.errors import UnsupportedError
from mlbench_core.hookspecs import FrameworkInfo
from mlbench_core.trial import MemoryReading, Plan

POLICIES = {
    "fp32": "float32",
    "tf32": "float32",
    "bf16": "mixed_bfloat16",
    "fp16": "mixed_float16",
    "fp64": "float64",
    "default": "float32",  # with TF32 as TensorFlow comes, which is on
}
"""Precision to Keras dtype policy. The mixed ones keep float32 variables and compute in 16 bits."""

EXECUTIONS = ("graph", "compiled", "eager")
DEFAULT_EXECUTION = "graph"


def info() -> FrameworkInfo:
    """Versions, devices, precisions and executions. Lists devices without starting the runtime, so threads can still be set."""
    gpus = tf.config.list_physical_devices("GPU")
    build = tf.sysconfig.get_build_info()
    versions = {"keras": keras.__version__}
    versions |= {name: str(build[f"{name}_version"]) for name in ("cuda", "cudnn") if f"{name}_version" in build}
    return FrameworkInfo(
        name="tensorflow",
        version=tf.__version__,
        devices=("cpu", *(f"cuda:{i}" for i in range(len(gpus)))),
        precisions=tuple(name for name in POLICIES if gpus or name != "tf32"),
        executions=EXECUTIONS,
        default_execution=DEFAULT_EXECUTION,
        versions=versions,
    )


def configure(plan: Plan) -> str:
    """Sets what is process-wide (TF32, threads, memory growth); returns the device's name for `tf.device`.

    Raises UnsupportedError if the plan asks for a device, a precision or an execution that this TensorFlow does not have.
    """
    if keras.config.backend() != "tensorflow":
        raise UnsupportedError(
            f"Keras runs on {keras.config.backend()}, not on TensorFlow: set KERAS_BACKEND=tensorflow before keras is imported"
        )
    gpus = tf.config.list_physical_devices("GPU")
    if plan.accelerated and not gpus:
        raise UnsupportedError(
            f"TensorFlow {tf.__version__} sees no GPU for {plan.device}: install mlbench-tf[cuda], "
            "that is tensorflow[and-cuda], and see that nvidia-smi lists the card"
        )
    if reason := info().refusal(plan.precision, plan.execution):
        raise UnsupportedError(reason)
    if plan.precision == "tf32" and not plan.accelerated:
        raise UnsupportedError("tensorflow offers tf32 on a GPU only; on the cpu use fp32")

    # Once the runtime has started, threads and growth cannot be changed any more. A worker sets them once, before; a process
    # that makes several sessions keeps the first values, and `knobs` reports those.
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(plan.threads)
        tf.config.threading.set_inter_op_parallelism_threads(plan.threads)
    with contextlib.suppress(RuntimeError):
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)

    if plan.precision == "default":
        return _name(plan)
    wanted = plan.precision == "tf32"
    tf.config.experimental.enable_tensor_float_32_execution(wanted)
    if tf.config.experimental.tensor_float_32_execution_enabled() != wanted:
        raise UnsupportedError(f"TensorFlow {tf.__version__} did not switch TF32 {'on' if wanted else 'off'}")
    return _name(plan)


def _name(plan: Plan) -> str:
    return "/GPU:0" if plan.accelerated else "/CPU:0"  # the core shows TensorFlow the plan's GPU alone


def knobs() -> dict[str, str]:
    """The process-wide settings, read back. `onednn` is the variable that controls it; unset, TensorFlow decides."""
    threading: Any = tf.config.threading
    return {
        "tf32": str(tf.config.experimental.tensor_float_32_execution_enabled()),
        "intra_op_threads": str(threading.get_intra_op_parallelism_threads()),
        "inter_op_threads": str(threading.get_inter_op_parallelism_threads()),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "unset"),
        **{
            f"memory_growth_{i}": str(tf.config.experimental.get_memory_growth(gpu))
            for i, gpu in enumerate(tf.config.list_physical_devices("GPU"))
        },
    }


def memory(device: str) -> list[MemoryReading]:
    """Bytes in live tensors now and at most; nothing for a CPU, where TensorFlow counts nothing and would say 0."""
    if device == "/CPU:0":
        return []
    found = tf.config.experimental.get_memory_info("GPU:0")
    return [MemoryReading("live_tensors", found["current"]), MemoryReading("live_tensors_peak", found["peak"])]
