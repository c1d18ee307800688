"""An executor's places without an executor: blocks that run there as `Lanes` asks for it."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Timer

from mlbench_core.executor import Place
from mlbench_core.record import Record
from mlbench_core.runner.lanes import Block, Records
from mlbench_core.trial import Trial

TRIAL = Trial(
    framework="numpy", model="mlp", dataset="digits", device="cpu", batch_size=1, precision="fp32", execution="default",
    task="train", block=0, num_epochs=0, seed=0, threads=1,
)  # fmt: skip


class Executor:
    """Runs blocks whose every trial waits once, for nothing, or for another thread. fail: whether a place loses its node."""

    def __init__(self, fail: Callable[[Block, Place], bool] = lambda _block, _place: False) -> None:
        self.begun: list[tuple[int, int, str]] = []
        self.busy: set[Place] = set()
        self.closed: list[str] = []
        self._fail, self.threads = fail, False

    def start(self, block: Block, place: Place) -> Records:
        assert place not in self.busy, "two blocks in one place at once"
        self.busy.add(place)
        self.begun.append((block[0].batch_size, block[0].block, place.name))
        try:
            for trial in block:
                waiting: Future[None] = Future()
                Timer(0.001, waiting.set_result, [None]).start() if self.threads else waiting.set_result(None)
                yield waiting
                lost = self._fail(block, place)
                yield Record(trial=trial, status="node-lost" if lost else "ok", place=place.name)
        except GeneratorExit:
            self.closed.append(place.name)
            raise
        finally:
            self.busy.discard(place)
