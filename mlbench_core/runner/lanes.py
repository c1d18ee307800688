"""Which blocks run where: as many at once as the executor has places, and all blocks of a group in one place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from queue import SimpleQueue

from mlbench_core.errors import ExecutorError
from mlbench_core.executor import Place
from mlbench_core.record import Record
from mlbench_core.results.groups import Group, group_of
from mlbench_core.runner.serving import Serving, serving
from mlbench_core.trial import Trial

LOST = "node-lost"
Block = list[Trial]
"""The arms of one group that stand side by side."""
Records = Generator[Future[None] | Record, None, None]
Start = Callable[[Block, Place], Records]
"""Runs a block in a place."""


class Lanes:
    """Gives each free place the next block that it takes: one of a group that is at home there, or that has no home yet and
    gets one so.

    A place whose node was lost is used no more. The block that was there is run again elsewhere as a whole, if it has not been
    so `retries` times before, and so are all further blocks of its group.
    """

    def __init__(
        self,
        places: Sequence[Place],
        look: Callable[[], tuple[Place, ...]],
        retries: int = 0,
        on_again: Callable[[Block], None] = lambda _block: None,
        serve: Callable[[Sequence[Place]], Serving] = lambda places: serving(None, places),
    ) -> None:
        """places: those that there are. look: tells which there are now, once none is left that takes what is waiting.
        on_again: called with each block that will be run again. serve: what each place takes of those that there are."""
        self._on_again, self._serve = on_again, serve
        self._places, self._look, self._retries = list(places), look, retries
        self._serving = serve(self._places)
        self._homes: dict[Group, Place] = {}
        self._lost: set[Place] = set()
        self._lost_blocks: Counter[Trial] = Counter()

    def run(self, blocks: Iterable[Block], start: Start) -> Iterator[Record]:
        """The records of all blocks, as they end.

        Raises ExecutorError if blocks are left and no place. Whatever is raised, and if nobody asks for more, what runs is
        closed.
        """
        waiting, idle = list(blocks), list(self._places)
        running: dict[Place, tuple[Block, Records]] = {}
        ready: SimpleQueue[Place] = SimpleQueue()
        try:
            while True:
                if waiting and not running and not self._taken(waiting):
                    idle = self._found_again(waiting)
                for place in list(idle) if waiting else ():
                    block = self._next(waiting, place)
                    if block is not None:
                        idle.remove(place)
                        running[place] = block, start(block, place)
                        ready.put(place)
                if not running:
                    return
                ended = yield from self._until_one_ends(running, ready)
                block, _ = running.pop(ended)
                if ended not in self._lost:
                    idle.append(ended)
                elif self._lost_blocks[block[0]] < self._retries:
                    self._lost_blocks[block[0]] += 1
                    waiting.insert(0, block)
                    self._on_again(block)
        finally:
            for _, records in running.values():
                records.close()

    def _until_one_ends(
        self, running: Mapping[Place, tuple[Block, Records]], ready: SimpleQueue[Place]
    ) -> Generator[Record, None, Place]:
        """The records that come until a block has ended, and where that was."""
        while True:
            place = ready.get()
            item = next(running[place][1], None)
            if item is None:
                return place
            if isinstance(item, Future):
                item.add_done_callback(lambda _done, place=place: ready.put(place))  # type: ignore[misc]
                continue
            ready.put(place)
            if item.status == LOST:
                self._leave(place)
            yield item

    def _next(self, waiting: list[Block], place: Place) -> Block | None:
        for number, block in enumerate(waiting):
            group = group_of(block[0])
            if group.node in self._serving[place] and self._homes.setdefault(group, place) == place:
                return waiting.pop(number)
        return None

    def _taken(self, waiting: list[Block]) -> bool:
        """Whether a place that is left takes any of them."""
        return any(block[0].node in names for names in self._serving.values() for block in waiting)

    def _leave(self, place: Place) -> None:
        self._lost.add(place)
        self._places = [each for each in self._places if each != place]
        self._homes = {group: home for group, home in self._homes.items() if home != place}
        self._serving = self._serve(self._places)

    def _found_again(self, waiting: list[Block]) -> list[Place]:
        self._places = [place for place in self._look() if place not in self._lost]
        self._serving = self._serve(self._places)
        if not self._taken(waiting):
            which = f" of {waiting[0][0].node}" if waiting[0][0].node else ""
            raise ExecutorError(
                f"the executor has lost every node{which} that it had; once there are others, --resume goes on"
            )
        return list(self._places)
