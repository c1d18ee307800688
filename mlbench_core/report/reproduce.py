"""The commands that make the same measurements again, or more of them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from attrs import frozen

from mlbench_core.results import Results
from mlbench_core.results.groups import Group

RESULTS = "benchmark_results.json"
"""A results file holds the whole configuration, and `mlbench run --config` takes it from there."""


FIRST_BLOCKS = 10
"""Blocks to begin with where one block cannot say how many are needed."""


@frozen
class Command:
    """What it does, and the line to type in the folder of the results file."""

    purpose: str
    line: str


def reproduce(results: Results) -> tuple[Command, ...]:
    """All of the run again; the same with enough blocks for a verdict; one command per model."""
    blocks = blocks_of(results)
    found = [Command("all of it again", _line(output=["again"]))]
    wanted = blocks_wanted(results)
    if wanted is not None and wanted > blocks:
        purpose = f"with {wanted} blocks, which are expected to decide every comparison that is still open"
        found.append(Command(purpose, _line(blocks=[wanted], output=["more-blocks"])))
    models = dict.fromkeys(record.trial.model for record in results.ordered)
    if len(models) > 1:
        found += [Command(f"{model} alone", _line(models=[model], output=[f"again-{model}"])) for model in models]
    return tuple(found)


def more_blocks(groups: Sequence[Group], blocks: int) -> str:
    """The command that repeats the groups' comparisons with that many blocks, and those of all other combinations of their
    models, devices, precisions and batch sizes."""
    sizes = [group.batch_size for group in groups if group.task == "train"]
    return _line(
        models=[group.model for group in groups],
        devices=[group.device for group in groups],
        precision=[group.precision for group in groups],
        blocks=[blocks],
        output=["more-blocks"],
        **({"batch_sizes": sizes} if sizes else {}),
    )


def blocks_of(results: Results) -> int:
    """How many blocks have at least begun."""
    return 1 + max((record.trial.block for record in results.records), default=-1)


def blocks_wanted(results: Results) -> int | None:
    """The blocks after which every open comparison by a primary metric should be decided; `FIRST_BLOCKS` where one of them
    rests on a single block; None if none is open or it cannot be told."""
    open_ = [c for c in results.comparisons if c.primary and c.verdict == "inconclusive"]
    if any(c.of_one_block for c in open_):
        return FIRST_BLOCKS
    return max((c.blocks_needed for c in open_ if c.blocks_needed is not None), default=None)


def _line(**options: Iterable[object]) -> str:
    words = ["mlbench", "run", "--config", RESULTS]
    for name, values in options.items():
        words += [f"--{name.replace('_', '-')}", *dict.fromkeys(map(str, values))]
    return shlex.join(words)
