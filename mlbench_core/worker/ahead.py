"""Reading batches ahead: a thread fetches the next ones from the disk while this one computes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")

LARGE = 64 * 2**20
"""Bytes of training data from which on a thread reads ahead (own): smaller ones lie in the system's page cache after one epoch,
and handing a small batch from thread to thread costs more than cutting it out of an array."""
DEPTH = 2
"""Batches that wait: one that is being placed, and the next."""


def read_ahead(source: Iterator[T], depth: int = DEPTH) -> Iterator[T]:
    """The items of `source` in their order, up to `depth` of them fetched before they are asked for.

    What `source` raises is raised here, in its place. Closing this iterator, or ending early, ends the thread.
    """
    waiting: queue.Queue[tuple[str, T | BaseException | None]] = queue.Queue(depth)
    stop = threading.Event()

    def put(kind: str, value: T | BaseException | None) -> None:
        while not stop.is_set():
            try:
                waiting.put((kind, value), timeout=0.1)
            except queue.Full:
                continue
            return

    def fetch() -> None:
        try:
            for item in source:
                put("item", item)
                if stop.is_set():
                    return
            put("end", None)
        except BaseException as error:
            put("error", error)

    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    try:
        while True:
            kind, value = waiting.get()
            if kind == "end":
                return
            if kind == "error":
                assert isinstance(value, BaseException)
                raise value
            yield value  # type: ignore[misc]  # an item, says its kind
    finally:
        stop.set()
        thread.join()
