"""Ctrl-C may come at any moment, also while a thread that watches a worker is being started."""

import threading

import psutil
import pytest

from mlbench_core.executors import local
from mlbench_core.runner.asking import ask


def test_an_interrupt_while_a_thread_starts_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that is left holds up the end of the program for as long as the trial could have taken: an hour."""
    threads: list[threading.Thread] = []
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        threads.append(thread)
        start(thread)
        raise KeyboardInterrupt

    before = set(psutil.Process().children(recursive=True))
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ask(local.run, "numpy", "cpu")
    assert set(psutil.Process().children(recursive=True)) <= before
    assert threads
    for thread in threads:
        thread.join(timeout=5)
        assert not thread.is_alive()
