"""What of an interrupted run is kept when it is resumed, and what must be the same for it to go on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from mlbench_core.compare.machines import identity
from mlbench_core.entry import shown_framework
from mlbench_core.hookspecs import FrameworkInfo
from mlbench_core.record import Record
from mlbench_core.results.groups import Group, group_of, grouped
from mlbench_core.runner.journal import Header
from mlbench_core.runner.journal_reader import Contents
from mlbench_core.trial import Calibration, Trial

Block = tuple[int, Group]
"""The arms that stand side by side: what must be measured in one part to be compared."""
WELL: frozenset[str] = frozenset({"ok", "unsupported"})
"""Statuses that no second try would change."""
UNFINISHED: frozenset[str] = frozenset({"interrupted", "node-lost"})
"""Statuses of trials that were stopped before their end, through no doing of theirs."""


@frozen(kw_only=True)
class Kept:
    """What a resumed run has already.

    records: of blocks whose arms have all ended. aside: of blocks that are to be run again as a whole. calibrations: by arm,
    those of both, and of records that were replaced.
    """

    records: tuple[Record, ...] = ()
    aside: tuple[Record, ...] = ()
    calibrations: Mapping[Trial, Calibration]

    def left(self, trials: Iterable[Trial]) -> list[Trial]:
        """Those of the trials that are still to be run, in the same order."""
        ended = {record.trial for record in self.records}
        return [trial for trial in trials if trial not in ended]

    def until(self, new: Sequence[Record]) -> tuple[Record, ...]:
        """All records once the `new` ones are there, block by block: those set aside count until their block is run again."""
        begun = {block_of(record.trial) for record in new}
        aside = (record for record in self.aside if block_of(record.trial) not in begun)
        return tuple(sorted([*self.records, *aside, *new], key=lambda record: record.trial.block))


NOTHING = Kept(calibrations={})
"""What a run that was not resumed has already."""


def block_of(trial: Trial) -> Block:
    """Where a trial stands side by side with others."""
    return trial.block, group_of(trial)


def kept_of(contents: Contents, trials: Sequence[Trial], retry_failed: bool) -> Kept:
    """What of a journal is kept for a run of these trials. retry_failed: what did not end well counts as not ended.

    A block is kept if each of its arms has ended in the same part of the run: arms that were measured apart are no pair. Blocks
    beyond those of the trials were added to narrow an interval. What the trials do not ask for is not kept.
    """
    planned, arms = set(trials), _arms(trials)
    blocks = 1 + max((trial.block for trial in trials), default=-1)
    latest = {record.trial: (part, record) for part, record in contents.records}
    found = grouped(latest.values(), lambda one: block_of(one[1].trial))
    kept: list[Record] = []
    aside: list[Record] = []
    for (block, group), several in found.items():
        wanted = arms.get(group, set())
        mine = [
            (part, record)
            for part, record in several
            if record.trial in planned or (block >= blocks and record.trial.arm in wanted)
        ]
        whole = (
            {record.trial.arm for _, record in mine} == wanted
            and len({part for part, _ in mine}) == 1
            and all(_ended(record, retry_failed) for _, record in mine)
        )
        (kept if whole else aside).extend(record for _, record in mine)
    calibrations: dict[Trial, Calibration] = {}
    for _, record in contents.records:
        if record.measured.calibration is not None:
            calibrations.setdefault(record.trial.arm, record.measured.calibration)
    return Kept(records=tuple(kept), aside=tuple(aside), calibrations=calibrations)


def _arms(trials: Iterable[Trial]) -> dict[Group, set[Trial]]:
    found: dict[Group, set[Trial]] = {}
    for trial in trials:
        found.setdefault(group_of(trial), set()).add(trial.arm)
    return found


def _ended(record: Record, retry_failed: bool) -> bool:
    return record.status not in UNFINISHED and (record.status in WELL or not retry_failed)


def differences(then: Header, now: Header) -> list[str]:
    """What is not as it was when the run last began or went on; a line each, with both values.

    The output folder may have been moved, and a machine's load changes from minute to minute.
    """
    found = list(_config_differences(then, now))
    if not found and then.planned != now.planned:
        found += _told("trials, ", *(_listed(header.planned) for header in (then, now)))
    machines = (_shown(identity(header.facts)) for header in (then, now))
    found += _told("machine, ", *machines)
    found += _told("", *({"mlbench": one.mlbench, "Python": str(one.facts.get("python"))} for one in (then, now)))
    return found


def framework_differences(contents: Contents, now: Mapping[str, FrameworkInfo | str]) -> list[str]:
    """The frameworks whose versions are not those that the journal's records tell of.

    now: by framework, or its label, what it says of itself, or why it cannot be asked.
    """
    found: list[str] = []
    for framework, info in now.items():
        then = _versions_then(contents, framework)
        if then and isinstance(info, str):
            found.append(f"{framework} cannot be used now: {info}")
        elif then and not isinstance(info, str):
            here = {framework: info.version, **{f"{framework}'s {name}": each for name, each in info.versions.items()}}
            found += _told("", then, {name: value for name, value in here.items() if name in then})
    return found


def known_frameworks(contents: Contents) -> set[str]:
    """The frameworks of which the journal tells a version."""
    named = {shown_framework(record.trial) for _, record in contents.records}
    named |= {shown_framework(result) for result in contents.parity or ()}
    return {framework for framework in named if _versions_then(contents, framework)}


def _versions_then(contents: Contents, framework: str) -> dict[str, str]:
    """The latest versions that a journal tells of a framework; of parity, where there is no record."""
    for _, record in reversed(contents.records):
        measured = record.measured
        if shown_framework(record.trial) == framework and measured.framework_version:
            inside = {f"{framework}'s {name}": each for name, each in measured.versions.items()}
            return {framework: measured.framework_version, **inside}
    results = (result for result in contents.parity or () if shown_framework(result) == framework)
    return next(({framework: result.framework_version} for result in results if result.framework_version), {})


def _config_differences(then: Header, now: Header) -> Iterator[str]:
    if then.config_digest != now.config_digest:
        yield from _told("configuration, ", *(dict(_flat(header.config)) for header in (then, now)))
    if then.skipped != now.skipped:
        yield from _told(
            "", {"skipped frameworks": ", ".join(then.skipped)}, {"skipped frameworks": ", ".join(now.skipped)}
        )


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif prefix or key != "output":
            yield f"{prefix}{key}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _listed(planned: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {key: ", ".join(values) for key, values in planned.items()}


def _shown(facts: Mapping[str, Any]) -> dict[str, str]:
    return {name: "unknown" if value is None else str(value) for name, value in facts.items()}


def _told(what: str, then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """A line for each value that differs."""
    names = [name for name in dict.fromkeys([*then, *now]) if then.get(name) != now.get(name)]
    return [f"{what}{name}: {then.get(name) or 'nothing'} then, {now.get(name) or 'nothing'} now" for name in names]
