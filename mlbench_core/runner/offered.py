"""What `all` means for each framework: what it offers on a device; and the one line that says what it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from attrs import frozen

from mlbench_core.config import Config
from mlbench_core.entry import Entry
from mlbench_core.hookspecs import FrameworkInfo
from mlbench_core.keys import ALL_PRECISIONS, EXECUTIONS

Offers = Callable[[Entry, str, str], FrameworkInfo | None]
"""(entry, device, kind of node) -> what the framework says of itself there, or None if it cannot be asked."""


@frozen(kw_only=True)
class Planned:
    """What is planned for one framework on one device, and what `all` would have asked for in vain."""

    precisions: tuple[str, ...]
    executions: tuple[str, ...]
    lacking: tuple[str, ...] = ()


Where = tuple[str, str]
"""A device, and the kind of node; empty where the configuration names none."""


def plan(config: Config, entry: Entry, at: Where, offers: Offers) -> Planned:
    """The precisions and executions to run; none where `all` devices were asked for and the framework does not run on this one.

    What the configuration names itself is planned whether it is offered or not: its row says why it cannot be run. The
    framework is asked only where the configuration says `all`. One that cannot be asked is planned once: a row says why.
    """
    device, node = at
    every_device = "all" in config.devices and device != "cpu"
    every_precision, every_execution = "all" in config.precision, "all" in config.execution
    if not (every_device or every_precision or every_execution):
        return Planned(precisions=config.precision, executions=config.execution)
    info = offers(entry, device, node)
    if info is None:
        return Planned(
            precisions=ALL_PRECISIONS[:1] if every_precision else config.precision,
            executions=EXECUTIONS[:1] if every_execution else config.execution,
        )
    if every_device and not info.runs_on(device):
        return Planned(precisions=(), executions=(), lacking=(device,))
    lacking = []
    precisions, executions = config.precision, config.execution
    if every_precision:
        precisions = tuple(name for name in ALL_PRECISIONS if name in info.precisions)
        lacking += [name for name in ALL_PRECISIONS if name not in precisions]
    if every_execution:
        known = EXECUTIONS[1:]
        executions = (*(name for name in known if name in info.executions), *sorted({*info.executions} - {*known}))
        lacking += [name for name in known if name not in executions]
    return Planned(precisions=precisions, executions=executions, lacking=tuple(lacking))


def said(planned: Mapping[tuple[Entry, Where], Planned]) -> str:
    """What is not offered, in one line: "jax: eager, graph; numpy: cuda:0"; empty if everything is. By entry and where."""
    told = {entry: ", ".join(_lacking(entry, planned)) for entry in dict.fromkeys(entry for entry, _ in planned)}
    return "; ".join(f"{entry.shown}: {names}" for entry, names in told.items() if names)


def _lacking(entry: Entry, planned: Mapping[tuple[Entry, Where], Planned]) -> Iterable[str]:
    """Each name once, with the devices that lack it where others do not."""
    mine = {at: each for (one, at), each in planned.items() if one == entry}
    there = [at for at, each in mine.items() if each.executions or at[0] not in each.lacking]
    for name in dict.fromkeys(name for each in mine.values() for name in each.lacking):
        where = [" on ".join(filter(None, at)) for at in there if name in mine[at].lacking]
        yield name if len(where) in (0, len(there)) else f"{name} on {' and '.join(where)}"
