"""What this TensorFlow offers, how a plan sets it up, and what it says of itself: the process-wide side of the plugin."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import keras
import tensorflow as tf

from mlbench_core.errors import UnsupportedError
from mlbench_core.hookspecs import FrameworkInfo
from mlbench_core.trial import Plan
from mlbench_tf.plugin import CPU_DEVICES

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
UNCOMPILED = ("graph", "eager")
"""What several virtual CPU devices offer that share a step: XLA has no way from one to another, only between GPUs."""
DEFAULT_EXECUTION = "graph"


def framework_info() -> FrameworkInfo:
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
        executions=UNCOMPILED if os.environ.get(CPU_DEVICES) else EXECUTIONS,
        default_execution=DEFAULT_EXECUTION,
        versions=versions,
        data_parallel=("cpu", "cuda"),
    )


def apply(plan: Plan) -> str:
    """Sets what is process-wide (TF32, threads, memory growth); returns the device's name for `tf.device`.

    Raises UnsupportedError if the plan asks for a device, a precision or an execution that this TensorFlow does not have.
    """
    if keras.config.backend() != "tensorflow":
        raise UnsupportedError(
            f"Keras runs on {keras.config.backend()}, not on TensorFlow: set KERAS_BACKEND=tensorflow before keras is imported"
        )
    info, gpus = framework_info(), tf.config.list_physical_devices("GPU")
    advice = "install TensorFlow's CUDA build (python -m pip install 'tensorflow[and-cuda]')"
    problem = info.refusal(plan.precision, plan.execution) or info.device_refusal(plan, advice)
    if not problem and plan.num_devices > 1 and not plan.accelerated and plan.execution not in UNCOMPILED:
        problem = (
            f"tensorflow: XLA compiles no step that {plan.device!r} shares, only one that GPUs do: use execution graph"
        )
    if problem:
        raise UnsupportedError(problem)

    # Once the runtime has started, threads and growth cannot be changed any more. A worker sets them once, before; a process
    # that makes several sessions keeps the first values, and `read_back` reports those.
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(plan.threads)
        tf.config.threading.set_inter_op_parallelism_threads(plan.threads)
    with contextlib.suppress(RuntimeError):
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)

    if not plan.accelerated:
        _split_cpu(plan.num_devices)
    if plan.precision == "default":
        return _name(plan)
    wanted = plan.precision == "tf32"
    tf.config.experimental.enable_tensor_float_32_execution(wanted)
    if tf.config.experimental.tensor_float_32_execution_enabled() != wanted:
        raise UnsupportedError(f"TensorFlow {tf.__version__} did not switch TF32 {'on' if wanted else 'off'}")
    return _name(plan)


def _split_cpu(number: int) -> None:
    """Makes so many devices of the CPU, which share its threads and memory. Raises UnsupportedError where the runtime has
    started with fewer."""
    if number == 1:
        return
    with contextlib.suppress(RuntimeError):
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * number)
    found = len(tf.config.list_logical_devices("CPU"))
    if found < number:
        raise UnsupportedError(
            f"TensorFlow has started with {found} CPU device(s) in this process: 'cpu*{number}' needs a process of its own"
        )


def _name(plan: Plan) -> str:
    return "/GPU:0" if plan.accelerated else "/CPU:0"  # the core shows TensorFlow the plan's GPU alone


def read_back() -> dict[str, str]:
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
