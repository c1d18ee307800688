"""How often verdicts are right: experiments on noise of known kind, and on real processes of the same code resampled.

`nox -s trust` prints the table that docs/methodology.md holds. Nothing here runs in a benchmark.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from attrs import frozen

from mlbench_core.stats.ratio import Ratio, ratio
from mlbench_core.stats.verdict import Verdict, verdict
from mlbench_core.thresholds import Compare

Array = npt.NDArray[np.float64]


@frozen
class Noise:
    """How simulated processes differ. Shares of a step's time.

    process: standard deviation between processes (identical code was measured at 1.6 to 2.7 %). value: between the values
    inside one, whose neighbours are correlated by 0.5. drift: the machine's slowdown over all blocks. heavy: processes by
    Student's t with 4 degrees of freedom instead of the normal distribution.
    """

    name: str
    process: float
    value: float = 0.02
    drift: float = 0.0
    heavy: bool = False


NOISES = (
    Noise("quiet machine", 0.005),
    Noise("shared machine", 0.018),
    Noise("noisy machine", 0.04, value=0.05),
    Noise("shared machine, slowing by 3 %", 0.018, drift=0.03),
    Noise("shared machine, heavy tails", 0.018, heavy=True),
)
VALUES = 40
CORRELATION = 0.5


def processes(noise: Noise, count: int, generator: np.random.Generator) -> list[Array]:
    """The values of `count` processes of the same code, (VALUES,) seconds each around 1."""
    shocks = generator.standard_normal((count, VALUES)) * np.sqrt(1 - CORRELATION**2)
    inside = np.empty_like(shocks)
    inside[:, 0] = generator.standard_normal(count)
    for i in range(1, VALUES):
        inside[:, i] = CORRELATION * inside[:, i - 1] + shocks[:, i]
    # A t with 4 degrees of freedom has variance 2: scaled, so that both kinds deviate alike.
    between = generator.standard_t(4, count) / np.sqrt(2) if noise.heavy else generator.standard_normal(count)
    return list(np.exp(noise.process * between[:, None] + noise.value * inside))


def medians(noise: Noise, blocks: int, generator: np.random.Generator) -> tuple[Array, Array]:
    """One number per process for two arms of the same code, in blocks on a machine that may drift."""
    found = [np.median(values) for values in processes(noise, 2 * blocks, generator)]
    slower = np.repeat(np.linspace(1, 1 + noise.drift, blocks), 2)
    pairs = (np.asarray(found) * slower).reshape(blocks, 2)
    return pairs[:, 0], pairs[:, 1]


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
    ratios = [ratio(*medians(noise, blocks, generator), compare.confidence) for _ in range(experiments)]
    return float(np.mean([_holds(r, 1.0) for r in ratios]))


def resampled(
    seconds: Sequence[tuple[float, float]], compare: Compare, slowdown: float, blocks: int, experiments: int, seed: int
) -> tuple[float, float, float]:
    """Experiments on real processes of the same code: (share faster or slower, share slower, coverage of the true ratio).

    seconds: per real block, two processes' numbers. An experiment draws `blocks` of the real blocks without replacement,
    decides by coin in each which process is a and which b, and makes a's steps `slowdown` times as long.
    """
    generator, pairs = np.random.default_rng(seed), np.asarray(seconds)
    verdicts, held = [], 0
    for _ in range(experiments):
        drawn = pairs[generator.choice(len(pairs), blocks, replace=False)]
        flipped = np.where(generator.random((blocks, 1)) < 0.5, drawn, drawn[:, ::-1])
        r = ratio(flipped[:, 0] * slowdown, flipped[:, 1], compare.confidence)
        verdicts.append(verdict(r, r.p, compare))
        held += _holds(r, 1 / slowdown)
    decided = _share(verdicts, lambda found: found in ("faster", "slower"))
    return decided, _share(verdicts, lambda found: found == "slower"), held / experiments


def _verdicts(
    noise: Noise, compare: Compare, slowdown: float, blocks: int, experiments: int, seed: int
) -> list[Verdict]:
    generator = np.random.default_rng(seed)
    found = []
    for a, b in itertools.starmap(medians, itertools.repeat((noise, blocks, generator), experiments)):
        r = ratio(a * slowdown, b, compare.confidence)
        found.append(verdict(r, r.p, compare))
    return found


def _share(verdicts: Sequence[Verdict], wanted: Callable[[Verdict], bool]) -> float:
    return sum(map(wanted, verdicts)) / len(verdicts)


def _holds(r: Ratio, truth: float) -> bool:
    return r.low is not None and r.high is not None and r.low <= truth <= r.high
