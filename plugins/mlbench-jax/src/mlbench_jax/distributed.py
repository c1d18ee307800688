"""Where arrays live: on one device, or over several with each batch split among them.

Over several, the compiled step is the one of a single device. XLA splits it by the arrays it is given: parameters are copied to
every device and each batch is cut along its first axis, so sums over the batch (the loss, gradients, BatchNorm's statistics)
are over the whole of it, and the update is the same everywhere (JAX's guide
"Distributed arrays and automatic parallelization").
"""

from __future__ import annotations

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from attrs import frozen
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from mlbench_core.errors import UnsupportedError
from mlbench_core.trial import Plan

BATCH = "batch"


@frozen
class Placement:
    """devices: those of the plan, the first of them first; of all nodes, where several share each batch. whole: where
    parameters and all else go. split: where batches go."""

    devices: tuple[jax.Device, ...]
    whole: jax.Device | Sharding
    split: jax.Device | Sharding

    across_nodes: bool = False

    @property
    def several(self) -> bool:
        """Whether there is more than one device."""
        return len(self.devices) > 1

    @property
    def steps_alone(self) -> bool:
        """Whether a step must have ended before the next one is asked for. Asked for hundreds at once, the devices that one CPU
        stands for wait for each other's part of a sum until XLA ends the process, after 40 s (jaxlib 0.10.2)."""
        return self.devices[0].platform == "cpu" and len(self.here) > 1

    @property
    def here(self) -> tuple[jax.Device, ...]:
        """Those of this node."""
        return tuple(device for device in self.devices if device.process_index == jax.process_index())

    def put(self, tree: Any) -> Any:
        """Arrays that are the same on every node, where parameters go."""
        if not self.across_nodes:
            return jax.device_put(tree, self.whole)
        leaves, shape = jax.tree.flatten(tree)
        host, keys = zip(*map(_on_host, leaves), strict=True) if leaves else ((), ())

        def made(values: Any) -> list[Any]:
            return [
                value if key is None else jax.random.wrap_key_data(value, impl=key)
                for value, key in zip(values, keys, strict=True)
            ]

        return jax.tree.unflatten(shape, jax.jit(made, out_shardings=self.whole)(host))

    def put_batch(self, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> tuple[jax.Array, jax.Array]:
        """A batch, or this node's share of one."""
        if not self.across_nodes:
            placed: tuple[jax.Array, jax.Array] = jax.device_put((x, y), self.split)
            return placed
        share: Any = jax.make_array_from_process_local_data
        return share(self.split, x), share(self.split, y)


def _on_host(leaf: Any) -> tuple[Any, Any]:
    """What every node can give to a function that they all call: (an array on the host, how to make a random key of it)."""
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        return leaf, None
    if jnp.issubdtype(getattr(leaf, "dtype", np.float32), jax.dtypes.prng_key):
        return np.asarray(jax.random.key_data(leaf)), jax.random.key_impl(leaf)
    return np.asarray(leaf), None


MEETING = "MLBENCH_JAX_MEETING"
"""By this variable `worker_environment` says where the nodes meet, how many they are and which this is."""


def meet() -> None:
    """Where several nodes share batches, JAX must know of all before it is asked for any device."""
    meeting = os.environ.get(MEETING, "").split()
    if meeting and not jax.distributed.is_initialized():
        address, nodes, node = meeting
        jax.distributed.initialize(address, int(nodes), int(node))


def placement(plan: Plan, there: list[jax.Device]) -> Placement:
    """The plan's place among the devices of its kind. Raises UnsupportedError if there are too few."""
    if plan.num_nodes > 1:
        devices = tuple(jax.devices(there[0].platform if there[0].platform == "cpu" else "cuda"))
        return _meshed(devices, across_nodes=True)
    if len(there) < plan.num_devices:
        raise UnsupportedError(f"jax sees {len(there)} of the {plan.num_devices} devices of {plan.device!r}")
    devices = tuple(there[: plan.num_devices])
    if len(devices) == 1:
        return Placement(devices, devices[0], devices[0])
    return _meshed(devices)


def _meshed(devices: tuple[jax.Device, ...], *, across_nodes: bool = False) -> Placement:
    mesh = Mesh(devices, (BATCH,))
    whole, split = PartitionSpec(), PartitionSpec(BATCH)  # type: ignore[no-untyped-call]
    return Placement(devices, NamedSharding(mesh, whole), NamedSharding(mesh, split), across_nodes)
