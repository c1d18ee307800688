"""Where arrays live: on one device, or over several with each batch split among them.

Over several, the compiled step is the one of a single device. XLA splits it by the arrays it is given: parameters are copied to
every device and each batch is cut along its first axis, so sums over the batch (the loss, gradients, BatchNorm's statistics)
are over the whole of it, and the update is the same everywhere (JAX's guide
"Distributed arrays and automatic parallelization").
"""

from __future__ import annotations

import jax
from attrs import frozen
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from mlbench_core.errors import UnsupportedError
from mlbench_core.trial import Plan

BATCH = "batch"


@frozen
class Placement:
    """devices: those of the plan, the first of them first. whole: where parameters and all else go. split: where batches go."""

    devices: tuple[jax.Device, ...]
    whole: jax.Device | Sharding
    split: jax.Device | Sharding

    @property
    def several(self) -> bool:
        """Whether there is more than one device."""
        return len(self.devices) > 1


def placement(plan: Plan, there: list[jax.Device]) -> Placement:
    """The plan's place among the devices of its kind. Raises UnsupportedError if there are too few."""
    if len(there) < plan.num_devices:
        raise UnsupportedError(f"jax sees {len(there)} of the {plan.num_devices} devices of {plan.device!r}")
    devices = tuple(there[: plan.num_devices])
    if len(devices) == 1:
        return Placement(devices, devices[0], devices[0])
    mesh = Mesh(devices, (BATCH,))
    whole, split = PartitionSpec(), PartitionSpec(BATCH)  # type: ignore[no-untyped-call]
    return Placement(devices, NamedSharding(mesh, whole), NamedSharding(mesh, split))
