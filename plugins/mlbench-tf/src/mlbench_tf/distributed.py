"""Several devices that share each batch, by tf.distribute.MirroredStrategy: every one has a replica of all variables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from mlbench_core.devices import kind_of, number_of
from mlbench_core.errors import UnsupportedError
from mlbench_core.trial import Plan


def strategy_for(plan: Plan) -> Any | None:
    """The strategy of the plan's devices, after `settings.apply`; None for one device. The same for equal devices, because a
    variable belongs to the strategy under which it was made."""
    return None if plan.num_devices == 1 else _strategy(plan.device)


@cache
def _strategy(device: str) -> Any:
    kind = "CPU" if kind_of(device) == "cpu" else "GPU"
    names = [f"/{kind}:{number}" for number in range(number_of(device))]
    # On GPUs TensorFlow's own choice, which is NCCL. On CPUs that would be a ring of messages between devices of one memory.
    return tf.distribute.MirroredStrategy(names, tf.distribute.ReductionToOneDevice() if kind == "CPU" else None)


def on_each(strategy: Any, function: Callable[..., Any], execution: str) -> Callable[..., tuple[Any, ...]]:
    """`function` on every device with that device's arguments, as a function of values per replica that returns a tuple.

    Where the execution is "compiled", XLA compiles it for each device; what calls it is for the caller to trace.
    """
    if execution == "compiled":
        function = tf.function(function, autograph=False, jit_compile=True)

    def together(*arguments: Any) -> tuple[Any, ...]:
        return tuple(strategy.experimental_local_results(strategy.run(function, arguments)))

    return together


def mean(values: Sequence[Any]) -> list[Any]:
    """The mean over all replicas of each tensor, for a function that runs on each device. Shares are equal, so a mean of
    means over shares is one over the batch."""
    return list(tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, list(values)))


def shared(
    strategy: Any, x: npt.NDArray[Any], y: npt.NDArray[Any], place: Callable[..., tuple[Any, Any]]
) -> tuple[Any, Any]:
    """(x, y) as values per replica: an equal share each, made by `place` on its device.

    Raises UnsupportedError for a batch that cannot be shared equally.
    """
    devices = strategy.extended.worker_devices
    if len(y) % len(devices):
        raise UnsupportedError(f"tensorflow: a batch of {len(y)} cannot be shared equally by {len(devices)} devices")
    shares = []
    for device, *share in zip(devices, np.split(x, len(devices)), np.split(y, len(devices)), strict=True):
        with tf.device(device):
            shares.append(place(*share))
    found: tuple[Any, Any] = strategy.experimental_distribute_values_from_function(
        lambda context: shares[context.replica_id_in_sync_group]
    )
    return found


def whole(strategy: Any, value: Any) -> Any:
    """The tensor that was shared, on the device that is current."""
    return tf.concat(strategy.experimental_local_results(value), 0)


def copies(variable: Any) -> list[Any]:
    """A Keras variable's values as TensorFlow's own variables, one for each device."""
    return list(getattr(variable.value, "values", [variable.value]))


def knobs(strategy: Any) -> dict[str, str]:
    """What shares the batch, and how, read back."""
    return {
        "strategy": type(strategy).__name__,
        "replicas": ", ".join(device.rpartition("device:")[2] for device in strategy.extended.worker_devices),
        "batch_norm": "over the whole batch",
    }


def part_seeds(network: Any) -> None:
    """Gives each replica seeds of its own: with equal ones, all would drop the same places of their shares."""
    for variable in network.non_trainable_variables:
        if variable.name == "seed_generator_state":  # Keras's name for every such variable
            for number, copy in enumerate(copies(variable)):
                copy.assign_add(tf.constant([number, 0], copy.dtype))


class BatchNormOverReplicas(keras.layers.BatchNormalization):  # type: ignore[misc]  # Keras has no types
    """Moments over the whole batch where several replicas train on their shares; Keras's own layer anywhere else.

    Keras's `synchronized=True` is not used: it takes the variance as the difference of two means, which cancel where the mean
    is large, in three exchanges a layer. Here each replica tells its mean and variance in one, and they are put together as
    variances of groups are.
    """

    def _moments(self, inputs: Any, mask: Any) -> tuple[Any, Any]:
        """Mean and biased variance (channels,)."""
        mean, variance = super()._moments(inputs, mask)
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return mean, variance
        # A sum in which each replica fills a row of its own and leaves the others 0: so everybody gets all rows.
        own = tf.one_hot(context.replica_id_in_sync_group, context.num_replicas_in_sync, dtype=mean.dtype)
        rows = own[:, None, None] * tf.stack([mean, variance])
        rows = context.all_reduce(tf.distribute.ReduceOp.SUM, rows)
        means, variances = rows[:, 0], rows[:, 1]
        mean = tf.reduce_mean(means, 0)
        return mean, tf.reduce_mean(variances + tf.square(means - mean), 0)
