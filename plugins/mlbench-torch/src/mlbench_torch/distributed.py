"""Training on several devices: DistributedDataParallel, one process per device, each with an equal share of every batch.

The worker is rank 0 and leads. It tells the others by pipes what it is told by hooks: make a session, take a share of a batch,
step. A step is asked for without waiting, so all devices are at work at once; only `synchronize` waits for all of them, so the
slowest one's time is the step's. Gradients are averaged by DistributedDataParallel (NCCL between GPUs, gloo between CPUs);
BatchNorm's statistics and the loss are over the whole batch, as on one device. What needs no training (predictions, gradients
for the parity ladder, saving) rank 0 does alone: all have the same weights.

On several nodes each node has such a group, or a single process, and all of their processes are one of PyTorch's.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import frozen
from torch import Tensor

from mlbench_core.architecture import Weights
from mlbench_core.errors import UnsupportedError
from mlbench_core.hookspecs import Batch, Gradients
from mlbench_core.record import MemoryReading
from mlbench_core.trial import Plan
from mlbench_torch.loss import make_loss
from mlbench_torch.lowering import Model
from mlbench_torch.optimizer import make_optimizer
from mlbench_torch.ranks import Member, join_nodes, sized, team_of, watched
from mlbench_torch.training import Placed


@frozen
class Together:
    """A batch of which each rank has a share. whole: on the host, for what rank 0 does alone. number: the others'
    name for it."""

    share: Placed
    whole: Batch
    number: int


class Leader(Member):
    """A session on several devices, as rank 0 has it."""

    def __init__(self, model: Model, weights: Weights, plan: Plan) -> None:
        self.team = team_of(plan)
        self.id = next(self.team.numbers)
        self._gone: list[int] = []
        used = make_optimizer.dispatch(type(plan.optimizer)), make_loss.dispatch(type(plan.loss))
        self.team.tell("know", tuple(implementation.__module__ for implementation in used))
        self.team.tell("make", self.id, model, weights, plan)
        super().__init__(model, weights, plan, 0)

    def place(self, batch: Batch) -> Any:
        """Each rank's share of the batch, on its device."""
        number, size = next(self.team.numbers), len(batch.y) * self.plan.num_nodes
        shares = [
            Batch(x, y) for x, y in zip(_split(batch.x, self.team.size), _split(batch.y, self.team.size), strict=True)
        ]
        self._forget()
        self.team.share(self.id, number, shares[1:], size)
        together = Together(sized(super().place(shares[0]), size), batch, number)
        _when_gone(together, self._gone, number)
        return together

    def _forget(self) -> None:
        """Has the others free the shares of batches that nobody here holds any longer."""
        while self._gone:
            self.team.tell("drop", self.id, self._gone.pop())

    @watched
    def train_step(self, batch: Any) -> Tensor:
        """One update by all ranks; the loss over the whole batch."""
        self.team.tell("step", self.id, batch.number)
        return super().train_step(batch.share)

    def infer(self, batch: Any) -> Tensor:
        """Logits of the whole batch, by rank 0."""
        return super().infer(super().place(batch.whole))

    def gradients(self, batch: Any, cotangent: npt.NDArray[Any] | None) -> Gradients:
        """Of the whole batch, by rank 0 alone."""
        with self._alone():
            return super().gradients(super().place(batch.whole), cotangent)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        for norm in self.norms:
            norm.process_group = self.team.alone
        yield
        for norm in self.norms:
            norm.process_group = None  # type: ignore[assignment]

    def synchronize(self) -> None:
        """Waits for all ranks."""
        self.team.tell("wait", self.id)
        super().synchronize()
        self.team.answers()

    def load(self, path: Path) -> None:
        """All ranks go on from a saved file."""
        self.team.tell("load", self.id, str(path))
        super().load(path)

    def memory(self) -> list[MemoryReading]:
        """The counters of all devices, added up."""
        self.team.tell("memory", self.id)
        found = [super().memory(), *self.team.answers()]
        return [
            MemoryReading(
                reading.name, sum(other.bytes for each in found for other in each if other.name == reading.name)
            )
            for reading in found[0]
        ]

    def knobs(self) -> dict[str, str]:
        """This rank's, and how many there are."""
        return super().knobs() | {"devices": str(self.team.size)}

    def close(self) -> None:
        """All ranks free their part."""
        self.team.tell("close", self.id)
        super().close()


class OnNode(Member):
    """A session on one device of each of several nodes, as each of them has it: the core tells each what to do."""

    def __init__(self, model: Model, weights: Weights, plan: Plan) -> None:
        join_nodes(plan)
        super().__init__(model, weights, plan, 0)

    def place(self, batch: Batch) -> Placed:
        """This node's share, which knows the size of the whole batch."""
        return sized(super().place(batch), len(batch.y) * self.plan.num_nodes)


def _split(array: npt.NDArray[Any], parts: int) -> list[npt.NDArray[Any]]:
    if len(array) % parts:
        raise UnsupportedError(f"pytorch: {len(array)} samples cannot be shared equally by {parts} devices")
    return np.split(array, parts)


def _when_gone(together: Together, gone: list[int], number: int) -> None:
    note: Callable[[int], None] = gone.append
    weakref.finalize(together, note, number).atexit = False
