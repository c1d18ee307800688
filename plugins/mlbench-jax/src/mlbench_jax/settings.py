"""What JAX offers on the device at hand, what a precision means here, and the variables to set before JAX is imported."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

import jax
import jax.numpy as jnp
from attrs import frozen

from mlbench_core.errors import UnsupportedError
from mlbench_core.hookspecs import FrameworkInfo
from mlbench_core.trial import Plan
from mlbench_jax.distributed import Placement, meet, placement

EXECUTION = "compiled"

# Distributions whose version changes speed or numbers; those that are not installed are left out.
RELEVANT = ("jaxlib", "flax", "optax", "jax-cuda13-plugin", "jax-cuda12-plugin", "nvidia-cudnn-cu13", "nvidia-cublas")


@frozen
class Precision:
    """dtype: of parameters, running statistics and optimiser state. compute: of products and activations.

    products: JAX's name for how exact products of float32 are; TF32 is what "default" would allow on a GPU.
    loss_scale: what the loss is multiplied by at first, and gradients divided by after the backward pass; it adapts from step
    to step, see `program`. None: neither.
    """

    dtype: Any
    compute: Any
    products: str
    loss_scale: float | None = None


PRECISIONS = {
    "fp32": Precision(jnp.float32, jnp.float32, "highest"),
    "tf32": Precision(jnp.float32, jnp.float32, "tensorfloat32"),
    "bf16": Precision(jnp.float32, jnp.bfloat16, "default"),
    # A power of two, so that scaling and unscaling are exact; float16 underflows below 6e-8, which gradients reach.
    "fp16": Precision(jnp.float32, jnp.float16, "default", loss_scale=2.0**15),
    "fp64": Precision(jnp.float64, jnp.float64, "highest"),
    "default": Precision(jnp.float32, jnp.float32, "default"),  # as JAX comes, which is TF32 on a GPU that has it
}


def _devices(platform: str) -> list[jax.Device]:
    try:
        return list(jax.local_devices(backend=platform))
    except RuntimeError:  # the platform is not there, or JAX_PLATFORMS names one that cannot start
        return []


def host() -> jax.Device:
    """Where models are built, so that the device never holds a parameter twice."""
    return _devices("cpu")[0]


def framework_info() -> FrameworkInfo:
    """JAX on the GPU if it sees one, else on the CPU."""
    meet()
    gpus = _devices("cuda")
    capability = float(getattr(gpus[0], "compute_capability", 0)) if gpus else 0.0
    return FrameworkInfo(
        name="jax",
        version=jax.__version__,
        devices=("cpu", *(f"cuda:{i}" for i in range(len(gpus)))),
        precisions=tuple(name for name in PRECISIONS if name != "tf32" or capability >= 8),
        executions=(EXECUTION,),
        default_execution=EXECUTION,
        data_parallel=("cpu", "cuda"),
        across_nodes=("cpu", "cuda"),
        versions=_versions(),
    )


def _versions() -> dict[str, str]:
    found = {}
    for distribution in RELEVANT:
        try:
            found[distribution] = version(distribution)
        except PackageNotFoundError:
            continue
    return found


def apply(plan: Plan) -> tuple[Precision, Placement]:
    """What the plan's precision means, and its devices. Turns 64-bit types on for fp64, without which JAX has none.

    Raises UnsupportedError for a device, precision or execution that is not there.
    """
    info, advice = framework_info(), "install JAX's CUDA build (python -m pip install 'jax[cuda13]')"
    problem = info.refusal(plan.precision, plan.execution) or info.device_refusal(plan, advice)
    if problem:
        raise UnsupportedError(problem)
    if plan.precision == "fp64":
        # worker_environment has done this in a worker; a process that imported JAX before it gets it here.
        jax.config.update("jax_enable_x64", True)  # type: ignore[no-untyped-call]
    return PRECISIONS[plan.precision], placement(plan, _devices("cuda" if plan.accelerated else "cpu"))
