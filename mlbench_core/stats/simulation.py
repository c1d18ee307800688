"""How often verdicts are right: experiments on noise of known kind, and on real processes of the same code resampled.

`nox -s trust` prints the table that docs/explanation/methodology.md holds. Nothing here runs in a benchmark.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from attrs import evolve, frozen

from mlbench_core.stats.ratio import Ratio, ratio
from mlbench_core.stats.verdict import Verdict, verdict
from mlbench_core.thresholds import Compare

Array = npt.NDArray[np.float64]


@frozen(kw_only=True)
class Noise:
    """How simulated processes differ. Shares of a step's time.

    process: standard deviation between processes (identical code was measured at 1.6 to 2.7 %). value: between the values
    inside one, whose neighbours are correlated by 0.5. drift: the machine's slowdown over all blocks. heavy: processes by
    Student's t with 4 degrees of freedom instead of the normal distribution. neighbour: how much slower the machine is half
    of the time, in episodes of 15 s on average. turns: whether the two processes of a block are measured in turns.
    """

    name: str
    process: float
    value: float = 0.02
    drift: float = 0.0
    heavy: bool = False
    neighbour: float = 0.0
    turns: bool = True


NOISES = (
    Noise(name="quiet machine", process=0.005),
    Noise(name="shared machine", process=0.018),
    Noise(name="noisy machine", process=0.04, value=0.05),
    Noise(name="shared machine, slowing by 3 %", process=0.018, drift=0.03),
    Noise(name="shared machine, heavy tails", process=0.018, heavy=True),
    Noise(name="shared machine, a neighbour comes and goes", process=0.018, neighbour=0.6),
)
ALONE = evolve(NOISES[-1], name="the same, one process after the other", turns=False)
"""What turns are for: the last of `NOISES` without them."""
TURNS, VALUES = 10, 4
"""Turns of a process, and values in each."""
TURN_S, EPISODE_S = 0.5, 15.0
CORRELATION = 0.5


def processes(noise: Noise, count: int, generator: np.random.Generator) -> Array:
    """The values of `count` processes of the same code on a machine that does not change: (count, TURNS, VALUES), in seconds
    around 1."""
    shape = (count, TURNS * VALUES)
    shocks = generator.standard_normal(shape) * np.sqrt(1 - CORRELATION**2)
    inside = np.empty_like(shocks)
    inside[:, 0] = generator.standard_normal(count)
    for i in range(1, shape[1]):
        inside[:, i] = CORRELATION * inside[:, i - 1] + shocks[:, i]
    # A t with 4 degrees of freedom has variance 2: scaled, so that both kinds deviate alike.
    between = generator.standard_t(4, count) / np.sqrt(2) if noise.heavy else generator.standard_normal(count)
    values: Array = np.exp(noise.process * between[:, None] + noise.value * inside)
    return values.reshape(count, TURNS, VALUES)


def machine(noise: Noise, count: int, generator: np.random.Generator) -> Array:
    """How many times as long everything takes, (count, TURNS): for processes of which two at a time share a block."""
    changes = generator.random((count // 2, 2 * TURNS)) < TURN_S / EPISODE_S
    changes[:, 0] = generator.random(count // 2) < 0.5
    slowed = 1 + noise.neighbour * (np.cumsum(changes, axis=1) % 2)
    order = (0, 2, 1) if noise.turns else (0, 1, 2)
    shape = (count // 2, TURNS, 2) if noise.turns else (count // 2, 2, TURNS)
    drifting = np.linspace(1, 1 + noise.drift, count // 2)[:, None, None]
    taken: Array = (slowed.reshape(shape).transpose(order) * drifting).reshape(count, TURNS)
    return taken


def log_ratios(noise: Noise, blocks: int, generator: np.random.Generator) -> Array:
    """One log-ratio per block, (blocks,), of two arms of the same code."""
    values = processes(noise, 2 * blocks, generator) * machine(noise, 2 * blocks, generator)[:, :, None]
    if not noise.turns:
        values = np.median(values.reshape(2 * blocks, -1), axis=1)[:, None, None]
    return block_log_ratios(values.reshape(blocks, 2, *values.shape[1:]))


def block_log_ratios(values: Array) -> Array:
    """`log_ratio` of every block at once: (blocks, 2 arms, turns, values) to (blocks,)."""
    logs = np.log(values).reshape(len(values), 2, -1)
    found: Array = np.median(logs[:, 1] - logs[:, 0], axis=-1)
    return found


def false_alarms(noise: Noise, compare: Compare, blocks: int, experiments: int, seed: int) -> float:
    """The share of experiments on identical arms whose verdict is "faster" or "slower"."""
    verdicts = _verdicts(noise, compare, 1.0, blocks, experiments, seed)
    return _share(verdicts, lambda found: found in ("faster", "slower"))


def power(noise: Noise, compare: Compare, slowdown: float, blocks: int, experiments: int, seed: int) -> float:
    """The share of experiments in which an arm whose steps take `slowdown` times as long is called slower."""
    verdicts = _verdicts(noise, compare, slowdown, blocks, experiments, seed)
    return _share(verdicts, lambda found: found == "slower")


def coverage(noise: Noise, compare: Compare, blocks: int, experiments: int, seed: int) -> float:
    """The share of experiments whose interval holds the true ratio, 1."""
    generator = np.random.default_rng(seed)
    ratios = [ratio(log_ratios(noise, blocks, generator), compare.confidence) for _ in range(experiments)]
    return float(np.mean([_holds(r, 1.0) for r in ratios]))


def resampled(
    logs: Sequence[float], compare: Compare, slowdown: float, blocks: int, experiments: int, seed: int
) -> tuple[float, float, float]:
    """Experiments on real processes of the same code: (share faster or slower, share slower, coverage of the true ratio).

    logs: the log-ratio of each real block. An experiment draws `blocks` of them without replacement, decides by coin in each
    which process is a and which b, and makes a's steps `slowdown` times as long.
    """
    generator, real = np.random.default_rng(seed), np.asarray(logs)
    verdicts, held = [], 0
    for _ in range(experiments):
        drawn = generator.choice(real, blocks, replace=False) * generator.choice([-1, 1], blocks)
        r = ratio(drawn - np.log(slowdown), compare.confidence)
        verdicts.append(verdict(r, r.p, compare))
        held += _holds(r, 1 / slowdown)
    decided = _share(verdicts, lambda found: found in ("faster", "slower"))
    return decided, _share(verdicts, lambda found: found == "slower"), held / experiments


def _verdicts(
    noise: Noise, compare: Compare, slowdown: float, blocks: int, experiments: int, seed: int
) -> list[Verdict]:
    generator = np.random.default_rng(seed)
    found = []
    for logs in itertools.starmap(log_ratios, itertools.repeat((noise, blocks, generator), experiments)):
        r = ratio(logs - np.log(slowdown), compare.confidence)
        found.append(verdict(r, r.p, compare))
    return found


def _share(verdicts: Sequence[Verdict], wanted: Callable[[Verdict], bool]) -> float:
    return sum(map(wanted, verdicts)) / len(verdicts)


def _holds(r: Ratio, truth: float) -> bool:
    return r.low is not None and r.high is not None and r.low <= truth <= r.high
