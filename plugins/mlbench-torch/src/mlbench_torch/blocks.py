"""Memory that two of a worker's processes share, in which arrays go from one to the other.

Through a pipe a batch of large images would be copied four times, in pieces of the pipe's size, and the sender would wait for
all of it. A block is used again once the other process has copied what it holds.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from attrs import frozen

MOST = 3
"""Blocks that a sender has: the one that is being filled, and those that wait where the receiver is behind (own)."""
LINE = 64
"""Arrays begin at multiples of this, in bytes: a cache line."""
POLL_S = 0.0005
"""How often a sender whose blocks are all full looks for an empty one; placing a batch that is worth it takes longer (own)."""


@frozen
class Parcel:
    """Arrays in a block. arrays: of each, where it begins in bytes, its shape and its dtype's name. size: in bytes, of a block
    that is new to the receiver: its file comes by the pipe after the parcel, and it may take the number of a smaller one."""

    block: int
    arrays: tuple[tuple[int, tuple[int, ...], str], ...]
    size: int | None


class Block:
    """A block of `size` bytes in a file that has no name. Its first byte says whether it is full."""

    def __init__(self, file: int, size: int) -> None:
        self.size = size
        self._map = mmap.mmap(file, size)

    @property
    def full(self) -> bool:
        """Whether it holds arrays that were not yet copied."""
        return self._map[0] != 0

    def mark(self, full: bool) -> None:
        """Says whether it is full."""
        self._map[0] = int(full)

    def view(self, begin: int, shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
        """An array that lies in the block."""
        size = int(np.prod(shape))
        return np.frombuffer(self._map, dtype, size, begin).reshape(shape)


class Sender:
    """The blocks by which one process sends to another, which a pipe leads to."""

    def __init__(self, pipe: Connection) -> None:
        self.blocks: dict[int, Block] = {}
        self._pipe = pipe

    @contextmanager
    def filled(self, arrays: Sequence[npt.NDArray[Any]]) -> Iterator[Parcel]:
        """Copies the arrays into a block that is empty. The parcel is to be sent within. Waits where all blocks are full."""
        places, end = [], LINE
        for array in arrays:
            places.append((end, array.shape, array.dtype.str))
            end += -(-array.nbytes // LINE) * LINE
        number, file = self._empty(end)
        block = self.blocks[number]
        for array, place in zip(arrays, places, strict=True):
            _copy(array, block.view(*place))
        block.mark(full=True)
        yield Parcel(number, tuple(places), None if file is None else block.size)
        if file is not None:
            send_handle(self._pipe, file, 0)  # Windows alone asks for the other process's number
            os.close(file)

    def _empty(self, size: int) -> tuple[int, int | None]:
        """The number of an empty block of this size at least, and its file if it is new."""
        while True:
            empty = [number for number, block in self.blocks.items() if not block.full]
            for number in empty:
                if self.blocks[number].size >= size:
                    return number, None
            if empty or len(self.blocks) < MOST:
                number = len(self.blocks) if len(self.blocks) < MOST else empty[0]
                file = _file(size)
                self.blocks[number] = Block(file, size)
                return number, file
            time.sleep(POLL_S)


class Receiver:
    """The same blocks in the process that receives."""

    def __init__(self, pipe: Connection) -> None:
        self.blocks: dict[int, Block] = {}
        self._pipe = pipe

    @contextmanager
    def opened(self, parcel: Parcel) -> Iterator[list[npt.NDArray[Any]]]:
        """The arrays where they lie: they are to be copied within."""
        if parcel.size is not None:
            file = recv_handle(self._pipe)
            self.blocks[parcel.block] = Block(file, parcel.size)
            os.close(file)
        block = self.blocks[parcel.block]
        yield [block.view(*place) for place in parcel.arrays]
        block.mark(full=False)


def _copy(array: npt.NDArray[Any], into: npt.NDArray[Any]) -> None:
    """By PyTorch, which copies with several threads, but warns of arrays that are read-only."""
    if array.flags.writeable:
        torch.from_numpy(into).copy_(torch.from_numpy(array))
    else:
        into[...] = array


def _file(size: int) -> int:
    """A file in memory where the system has such, which no limit on /dev/shm applies to: in a container that may be 64 MB."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("mlbench")
    else:
        with tempfile.TemporaryFile() as made:
            file = os.dup(made.fileno())
    os.truncate(file, size)
    return file
