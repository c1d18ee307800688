"""The settings that change speed or numbers, read back from JAX and from the model as JAX sees it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from mlbench_jax.training import Session


def read(session: Session) -> dict[str, str]:
    """The session's settings as texts. Traces the model once; compiles nothing."""
    state = session.state
    config: Any = jax.config  # its attributes are made at run time, so type checkers know none
    kinds = {str(array.dtype) for array in state.variables.params.values()}
    moments = {str(leaf.dtype) for leaf in jax.tree.leaves(state.optimizer) if jnp.issubdtype(leaf.dtype, jnp.floating)}
    knobs = {
        "device": session.placement.devices[0].device_kind,
        "parameters": " ".join(sorted(kinds)),
        "optimizer_state": " ".join(sorted(moments)),
        "loss_scale": f"{scale:g}, dynamic" if (scale := session.precision.loss_scale) else "none",
        "donated_buffers": "state",
        "x64": str(config.jax_enable_x64),
        "prng": str(config.jax_default_prng_impl),
        "compilation_cache": str(config.jax_enable_compilation_cache),
        "preallocate": os.environ.get("XLA_PYTHON_CLIENT_PREALLOCATE", ""),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        **products(session),
    }
    if session.placement.several:
        knobs |= {"devices": str(len(session.placement.devices)), "batch_norm_scope": "the whole batch"}
    if hasattr(os, "sched_getaffinity"):
        knobs["cpu_affinity"] = str(len(os.sched_getaffinity(0)))
    threads = xla_threads()
    return {**knobs, "xla_cpu_threads": str(threads)} if threads else knobs


def products(session: Session) -> dict[str, str]:
    """The types and precisions that the matrix products and convolutions of the model's forward pass carry, and whether its
    attention is cuDNN's.

    HIGHEST is float32 in full, HIGH and DEFAULT let a GPU use TF32; they say nothing of 16-bit and 64-bit operands.
    """
    tokens = session.architecture.input_kind == "tokens"
    shape = (1, *session.architecture.input_shape)
    x = jax.ShapeDtypeStruct(shape, jnp.int32 if tokens else session.precision.dtype)  # type: ignore[no-untyped-call]
    # The function under jit: tracing it here takes nothing from what the first step is measured to cost.
    traced = jax.make_jaxpr(session.program.predict.__wrapped__)(*session.state.variables, x)
    found: dict[str, set[str]] = {"product_types": set(), "product_precision": set()}
    for equation in _equations(traced.jaxpr):
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            found["product_types"].add(str(equation.invars[0].aval.dtype))
            precision = equation.params["precision"]
            chosen = precision if isinstance(precision, tuple) else (precision,)
            found["product_precision"] |= {getattr(one, "name", str(one)) for one in chosen}
        elif equation.primitive.name.startswith("dot_product_attention"):
            found["attention"] = {"cudnn"}
    return {name: " ".join(sorted(values)) for name, values in found.items()}


def _equations(jaxpr: Any) -> Iterator[Any]:
    """Every operation of a traced function, those of the functions it calls included."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns")):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from _equations(inner)


def xla_threads() -> int:
    """The threads of XLA's CPU pool by the name that it gives them; 0 where that cannot be seen."""
    names = (task / "comm" for task in Path("/proc/self/task").glob("*"))
    return sum(_text(name) == "tf_XLAEigen" for name in names)


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:  # the thread has ended
        return ""
