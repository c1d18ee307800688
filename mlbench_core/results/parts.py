"""The parts of a run: a run that was interrupted and resumed has several."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class Part:
    """A stretch of a run from its start, or from where it was resumed, to where it stopped.

    started: ISO 8601, UTC. machine: the key of the facts about where it ran. forced: what had changed since the part before,
    and `--force` went on in spite of it; a line each.
    """

    started: str
    machine: str
    forced: tuple[str, ...] = ()
