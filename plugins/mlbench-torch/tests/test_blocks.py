"""Arrays go through blocks of shared memory as they are, and a block is used again only once it was emptied."""

from __future__ import annotations

import threading
from multiprocessing import Pipe
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from mlbench_torch.blocks import LINE, MOST, Parcel, Receiver, Sender

Arrays = list[npt.NDArray[Any]]
ARRAYS = st.lists(
    arrays_of.arrays(
        dtype=st.sampled_from([np.float32, np.int32, np.uint8, np.float64]),
        shape=arrays_of.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=9),
    ),
    min_size=1,
    max_size=3,
)


def ends() -> tuple[Sender, Receiver]:
    one, other = Pipe()
    return Sender(one), Receiver(other)


def sent(sender: Sender, receiver: Receiver, arrays: Arrays) -> Arrays:
    with sender.filled(arrays) as parcel:
        pass
    with receiver.opened(parcel) as views:
        assert all(view.ctypes.data % LINE == 0 for view in views)
        return [view.copy() for view in views]


@pytest.mark.filterwarnings("error")
@settings(deadline=None, max_examples=50)  # a first call makes a file, which is slower than the next
@given(st.lists(ARRAYS, max_size=8))
def test_what_is_sent_arrives(parcels: list[Arrays]) -> None:
    """One after the other through the same blocks, which grow as they must."""
    sender, receiver = ends()
    for arrays in parcels:
        arrays[0].flags.writeable = False  # as those of a mapped file
        for found, expected in zip(sent(sender, receiver, arrays), arrays, strict=True):
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
            assert found.tobytes() == expected.tobytes()  # NaNs too


def test_an_emptied_block_is_used_again_and_a_small_one_is_replaced() -> None:
    sender, receiver = ends()
    for _ in range(5):
        sent(sender, receiver, [np.ones(100, np.float32)])
    assert len(sender.blocks) == 1
    for size in (200, 300, 400, 500, 600):
        sent(sender, receiver, [np.ones(size, np.float32)])
    assert len(sender.blocks) == len(receiver.blocks) == MOST
    assert [sender.blocks[n].size for n in sender.blocks] == [receiver.blocks[n].size for n in sender.blocks]


def test_a_sender_waits_while_all_blocks_are_full_and_nothing_is_overwritten() -> None:
    sender, receiver = ends()
    parcels: list[Parcel] = []

    def send(number: int) -> None:
        with sender.filled([np.full(10, number)]) as parcel:
            parcels.append(parcel)

    for number in range(MOST):
        send(number)
    waiting = threading.Thread(target=send, args=(MOST,))
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    for number, parcel in enumerate(parcels[:MOST]):
        with receiver.opened(parcel) as (view,):
            assert (view == number).all()
    waiting.join(10)
    assert len(receiver.blocks) == MOST
    with receiver.opened(parcels[MOST]) as (view,):
        assert (view == MOST).all()


def test_files_are_closed() -> None:
    sender, receiver = ends()
    before = psutil.Process().num_fds()
    for size in range(20):
        sent(sender, receiver, [np.ones(100 * size)])
    assert psutil.Process().num_fds() - before == 2 * MOST  # that of each mapping
