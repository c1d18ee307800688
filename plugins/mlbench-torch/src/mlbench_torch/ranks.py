"""The processes that train on several devices: what each rank does, and how rank 0 tells the others.

Messages go by pipes, pickled: both ends are this worker's own processes. Batches go by memory that they share.
"""

from __future__ import annotations

import atexit
import importlib
import itertools
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import wraps
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from mlbench_core.architecture import Weights
from mlbench_core.devices import kind_of
from mlbench_core.errors import UnsupportedError
from mlbench_core.hookspecs import Batch
from mlbench_core.record import MemoryReading
from mlbench_core.trial import Plan
from mlbench_torch import settings
from mlbench_torch.blocks import Parcel, Receiver, Sender
from mlbench_torch.lowering import Model
from mlbench_torch.synchronized import synchronize
from mlbench_torch.training import Placed, Session, executed, narrowed

PATIENCE = timedelta(minutes=10)
"""For what the processes do together; the trial's own time limit is what ends one that hangs."""
GRACE_S = 2.0
"""A rank that is gone makes a collective fail at once; who watches the rank knows as soon as the system has its exit status."""
LOST = 70
"""The worker's exit status when another rank has ended before it was told to (EX_SOFTWARE)."""
FOLLOW = "import sys; sys.path[:] = {path!r}; from mlbench_torch.ranks import follow; follow({fd}, {rank})"

Shares = dict[int, Placed]
P = ParamSpec("P")
T = TypeVar("T")


def watched(needs_others: Callable[P, T]) -> Callable[P, T]:
    """For what needs the other ranks: if one is gone, the worker ends by that, not by what then fails here."""

    @wraps(needs_others)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return needs_others(*args, **kwargs)
        except (OSError, EOFError, RuntimeError):
            time.sleep(GRACE_S)  # `Team._watch` ends the worker meanwhile, if that is why
            raise

    return call


class Member(Session):
    """A rank's part of a session."""

    def __init__(self, model: Model, weights: Weights, plan: Plan, rank: int) -> None:
        super().__init__(model, weights, plan, rank)
        self.norms = synchronize(self.module, self.device, plan.execution)
        self.processes = world(plan)
        ids = [rank] if self.device.type == "cuda" else None
        # Compiled within, not around: the compiler gives up on DistributedDataParallel's own forward pass, and then compiles no
        # container of PyTorch's, such as an nn.Sequential, that it wraps. Buffers are not sent around: synchronised statistics
        # are the same everywhere.
        self.together = DistributedDataParallel(
            executed(self.module, plan),
            ids,
            broadcast_buffers=False,
            gradient_as_bucket_view=True,
            bucket_cap_mb=settings.bucket_mb(plan),
        )
        self.training_forward = narrowed(self.together, self.device, self.precision)

    def train_step(self, batch: Placed) -> Tensor:
        """One update on this rank's share; the loss over the whole batch."""
        loss = super().train_step(batch)
        dist.all_reduce(loss)
        return loss / self.processes

    def knobs(self) -> dict[str, str]:
        """This rank's, and how the processes sum gradients."""
        return super().knobs() | {
            "collectives": dist.get_backend(),
            "bucket_mb": str(self.together.bucket_bytes_cap // 2**20),
            "batch_norm_scope": "the whole batch",
        }


class Follower:
    """A rank that does what it is told. Each method is a message; one that returns something is answered."""

    def __init__(self, rank: int, leader: Connection) -> None:
        self.rank = rank
        self.received = Receiver(leader)
        self.sessions: dict[int, Member] = {}
        self.shares: dict[int, Shares] = {}

    def join(self, plan: Plan, rendezvous: str) -> None:
        """Becomes one of the group."""
        _join(plan, self.rank, rendezvous)

    def know(self, modules: tuple[str, ...]) -> None:
        """Imports what registers the plan's optimiser and loss: what the worker has registered, only its own process knows."""
        for module in modules:
            importlib.import_module(module)

    def make(self, session: int, model: Model, weights: Weights, plan: Plan) -> None:
        """Makes its part of a session."""
        settings.apply(plan)
        self.sessions[session], self.shares[session] = Member(model, weights, plan, self.rank), {}

    def place(self, session: int, number: int, parcel: Parcel, size: int) -> None:
        """Takes its share of a batch of `size` samples."""
        member = self.sessions[session]
        with self.received.opened(parcel) as (x, y):
            # A GPU's share is copied in any case. A CPU would train on the arrays where they lie.
            share = Batch(x.copy(), y.copy()) if member.device.type == "cpu" else Batch(x, y)
            self.shares[session][number] = sized(member.place(share), size)

    def drop(self, session: int, number: int) -> None:
        """Forgets a share."""
        del self.shares[session][number]

    def step(self, session: int, number: int) -> None:
        """Its part of a training step."""
        self.sessions[session].train_step(self.shares[session][number])

    def wait(self, session: int) -> bool:
        """Waits for its device."""
        self.sessions[session].synchronize()
        return True

    def load(self, session: int, path: str) -> None:
        """Goes on from a saved file."""
        self.sessions[session].load(Path(path))

    def memory(self, session: int) -> list[MemoryReading]:
        """Its device's counters."""
        return self.sessions[session].memory()

    def close(self, session: int) -> None:
        """Frees its part of a session."""
        self.sessions.pop(session).close()
        del self.shares[session]


def follow(fd: int, rank: int) -> None:
    """The life of a process that follows: until the leader is gone."""
    leader = Connection(fd)
    follower = Follower(rank, leader)
    while True:
        try:
            name, *values = pickle.loads(leader.recv_bytes())
        except EOFError:
            return
        try:
            answer = getattr(follower, name)(*values)
        except Exception as error:
            # The last line that is printed is the one that the worker's end is reported with.
            sys.excepthook(type(error), error, error.__traceback__)
            os._exit(1)
        if answer is not None:
            leader.send_bytes(pickle.dumps(answer))


class Team:
    """The other ranks of this process, started once: sessions come and go."""

    def __init__(self, plan: Plan) -> None:
        self.size = plan.num_devices
        self.numbers = itertools.count()
        rendezvous = str(Path(tempfile.mkdtemp(prefix="ranks-")) / "rendezvous")
        self._pipes: list[Connection] = []
        self._senders: list[Sender] = []
        self._leaving = False
        for rank in range(1, self.size):
            self._start(rank)
        self.tell("join", plan, rendezvous)
        _join(plan, 0, rendezvous)
        self.alone = dist.new_group([0])
        atexit.register(self._leave)

    def _start(self, rank: int) -> None:
        mine, theirs = socket.socketpair()
        code = FOLLOW.format(path=sys.path, fd=theirs.fileno(), rank=rank)
        process = subprocess.Popen([sys.executable, "-c", code], pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL)
        theirs.close()
        self._pipes.append(Connection(mine.detach()))
        self._senders.append(Sender(self._pipes[-1]))
        threading.Thread(target=self._watch, args=(rank, process), daemon=True).start()

    def _watch(self, rank: int, process: subprocess.Popen[bytes]) -> None:
        """Without one rank the others would wait for it for ever, so the worker ends with it."""
        status = process.wait()
        if not self._leaving:
            sys.stderr.write(f"rank {rank} of {self.size} ended with status {status} before it was told to\n")
            sys.stderr.flush()
            os._exit(LOST)

    @watched
    def tell(self, *message: Any) -> None:
        """Sends a message to all others. Raises UnsupportedError for a model that cannot be sent."""
        try:
            data = pickle.dumps(message)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            why = f"the model cannot be sent to the other devices' processes: {error}"
            raise UnsupportedError(f"pytorch: {why}") from None
        for pipe in self._pipes:
            pipe.send_bytes(data)

    @watched
    def share(self, session: int, number: int, shares: Sequence[Batch], size: int) -> None:
        """Sends each of the others its share of a batch of `size` samples, which they know by this number."""
        for pipe, sender, share in zip(self._pipes, self._senders, shares, strict=True):
            with sender.filled([share.x, share.y]) as parcel:
                pipe.send_bytes(pickle.dumps(("place", session, number, parcel, size)))

    @watched
    def answers(self) -> list[Any]:
        """What each of the others answers to the last message."""
        return [pickle.loads(pipe.recv_bytes()) for pipe in self._pipes]

    def _leave(self) -> None:
        self._leaving = True
        for pipe in self._pipes:
            pipe.close()
        _part()


_TEAMS: list[Team] = []


def team_of(plan: Plan) -> Team:
    """This process's other ranks, started when they are first wanted."""
    if not _TEAMS:
        _TEAMS.append(Team(plan))
    return _TEAMS[0]


def world(plan: Plan) -> int:
    """How many processes share each batch: one per device of each node."""
    return plan.num_devices * plan.num_nodes


def join_nodes(plan: Plan) -> None:
    """Becomes one of a group with a process on each of several nodes, once."""
    if not dist.is_initialized():
        _join(plan, 0, "")
        atexit.register(_part)


def _join(plan: Plan, rank: int, rendezvous: str) -> None:
    """rank: among the devices of this node. rendezvous: a file, where there is one node."""
    device = settings.device_of(plan, rank)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if kind_of(plan.device) == "cuda" else "gloo"
    several = plan.num_nodes > 1
    dist.init_process_group(
        backend,
        init_method=f"tcp://{plan.members[0]}" if several else f"file://{rendezvous}",
        rank=plan.node * plan.num_devices + rank,
        world_size=world(plan),
        timeout=PATIENCE,
        device_id=device if backend == "nccl" else None,
    )
    if rank:
        dist.new_group([0])  # every rank takes part in making the leader's own


def _part() -> None:
    """Leaves the group. NCCL would wait for ever while a CUDA graph holds one of its sums (pytorch/pytorch#115388)."""
    # Where nothing was recorded there is nothing to reset, and a reset would import what cannot be imported at a process's end.
    if "torch._inductor.cudagraph_trees" in sys.modules:
        torch.compiler.reset()
    dist.destroy_process_group()


def sized(placed: Placed, size: int) -> Placed:
    """A share that knows the size of the whole batch, which BatchNorm's statistics are over."""
    return Placed(placed.x, placed.y, size)
