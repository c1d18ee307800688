"""Where the wall time of a matrix goes on many nodes: a simulation of how nodes get their blocks from a driver of one thread.

    python -m benchmarks.thousand_nodes --nodes 1000 --driver-ms 3.4

It is a model, and nothing is run. Its rules are those of `mlbench_core.runner.lanes`: a free place takes the first block of a
group that is at home there or nowhere yet. The driver's time per trial is what `nox -s ray` measures.
"""

from __future__ import annotations

import argparse
import heapq
import random
from collections import deque
from collections.abc import Sequence

from attrs import frozen


@frozen(kw_only=True)
class Matrix:
    """What is to be run. groups: comparisons. arms: in each. blocks: of each. trial_s: the geometric mean of what trials last;
    a group's own lies between a third and three times that, evenly by its logarithm, and is the same in all of its blocks."""

    groups: int
    arms: int
    blocks: int
    trial_s: float

    def durations(self, seed: int) -> list[float]:
        """Seconds of one block of each group."""
        draw = random.Random(seed)
        return [self.arms * self.trial_s * 3 ** draw.uniform(-1, 1) for _ in range(self.groups)]


@frozen(kw_only=True)
class Found:
    """What came of it. wall_s: from the first trial to the last. busy: the nodes' share of that. driver: the driver's share.
    longest_s: of the blocks of one group, one after another: no number of nodes ends sooner."""

    wall_s: float
    busy: float
    driver: float
    longest_s: float


def simulate(durations: Sequence[float], blocks: int, arms: int, nodes: int, driver_s: float) -> Found:
    """Runs the matrix in simulated time. durations: of one block of each group. driver_s: of the driver for each trial, which
    it spends on one block at a time, in the order in which they end; a node waits meanwhile."""
    homeless = deque(range(len(durations)))
    left = [blocks] * len(durations)
    running = [(0.0, node) for node in range(nodes)]  # when a node is free, by the driver's clock
    at_home: dict[int, deque[int]] = {node: deque() for node in range(nodes)}
    heapq.heapify(running)
    driver_free = wall = worked = 0.0
    while running:
        free, node = heapq.heappop(running)
        # As in the queue of blocks: all first blocks come before any second one.
        if homeless:
            group = homeless.popleft()
        elif at_home[node]:
            group = at_home[node].popleft()
        else:
            continue
        start = driver_free = max(free, driver_free) + driver_s * arms
        end = start + durations[group]
        left[group] -= 1
        worked += durations[group]
        wall = max(wall, end)
        if left[group]:
            at_home[node].append(group)
        heapq.heappush(running, (end, node))
    return Found(
        wall_s=wall,
        busy=worked / (wall * nodes),
        driver=driver_s * arms * blocks * len(durations) / wall,
        longest_s=max(durations) * blocks,
    )


def main() -> None:
    """Prints a table: nodes, wall time, and who was busy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 10, 100, 1000, 3000])
    parser.add_argument("--driver-ms", type=float, default=3.4)
    parser.add_argument("--groups", type=int, default=3000)
    parser.add_argument("--arms", type=int, default=3)
    parser.add_argument("--blocks", type=int, default=10)
    parser.add_argument("--trial-s", type=float, nargs="+", default=[60.0, 1.0])
    asked = parser.parse_args()
    print("| trial s | nodes | wall time h | nodes busy | driver busy | longest group h |\n|---|---|---|---|---|---|")
    for trial_s in asked.trial_s:
        matrix = Matrix(groups=asked.groups, arms=asked.arms, blocks=asked.blocks, trial_s=trial_s)
        for nodes in asked.nodes:
            found = simulate(matrix.durations(0), matrix.blocks, matrix.arms, nodes, asked.driver_ms / 1e3)
            print(
                f"| {trial_s:g} | {nodes} | {found.wall_s / 3600:.2f} | {found.busy:.0%} | {found.driver:.1%} | "
                f"{found.longest_s / 3600:.2f} |"
            )


if __name__ == "__main__":
    main()
