"""Opens the output folder of a run: for a new run, in place of an old one, or to go on with the one in it."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from mlbench_core.compare.machines import identity
from mlbench_core.config import Config
from mlbench_core.entry import Entry, shown_framework
from mlbench_core.errors import ConfigError
from mlbench_core.hookspecs import FrameworkInfo
from mlbench_core.installed import ALIASES, CORE, FRAMEWORKS, find, versions
from mlbench_core.results.parts import Part
from mlbench_core.results.results import machine_key
from mlbench_core.results.storage import NAME as RESULTS
from mlbench_core.runner.batches import Found, with_batches
from mlbench_core.runner.folder import Lock, check_free, clear, make_folder
from mlbench_core.runner.journal import NAME, Header, Journal
from mlbench_core.runner.journal_reader import Contents, read
from mlbench_core.runner.resume import (
    NOTHING,
    Kept,
    differences,
    framework_differences,
    kept_of,
    known_frameworks,
)
from mlbench_core.trial import Trial
from mlbench_core.verify.rungs import ParityResult

PLANNED = {
    "frameworks": "framework",
    "models": "model",
    "data sets": "dataset",
    "devices": "device",
    "precision": "precision",
    "execution": "execution",
    "threads": "threads",
}
"""What trials are of, and the field of a trial."""


@frozen(kw_only=True)
class How:
    """How a run takes its folder. resume: it goes on with the run in it, if there is one. overwrite: it replaces what is there.

    Of a resumed run: retry_failed: trials that did not end well are run again. force: whatever has changed meanwhile.
    Raises ConfigError for what makes no sense together.
    """

    resume: bool = False
    overwrite: bool = False
    retry_failed: bool = False
    force: bool = False

    def __attrs_post_init__(self) -> None:
        if self.resume and self.overwrite:
            raise ConfigError("--resume goes on with a run, and --overwrite removes it: leave one of the two out")
        for name, given in (("--retry-failed", self.retry_failed), ("--force", self.force)):
            if given and not self.resume:
                raise ConfigError(f"{name} goes with --resume")


@frozen(kw_only=True, eq=False)
class Opened:
    """A folder that is this run's alone until it is closed.

    parity: what verification found in an earlier part; None if nothing. batches: the largest that were found, to which those of
    this part are added. machines: facts by key, of the earlier parts and this one. here: the key of this machine. parts: this
    one is the last. notes: what to tell before the run goes on.
    """

    folder: Path
    journal: Journal
    kept: Kept
    parity: tuple[ParityResult, ...] | None
    batches: list[Found]
    machines: dict[str, dict[str, Any]]
    here: str
    parts: tuple[Part, ...]
    notes: tuple[str, ...]
    lock: Lock

    def close(self) -> None:
        """Others may take the folder."""
        self.journal.close()
        self.lock.release()


def header_of(
    config: Config, trials: Sequence[Trial], skipped: tuple[str, ...], folder: Path, facts: dict[str, Any], verify: bool
) -> Header:
    """What a part of a run of these trials begins with. folder: the working directory. facts: about this machine."""
    data = config.to_dict()
    planned = {key: list(dict.fromkeys(str(getattr(trial, name)) for trial in trials)) for key, name in PLANNED.items()}
    plugins = find(FRAMEWORKS).usable
    elsewhere = {
        each.label or ALIASES.get(each.name, each.name)
        for each in config.frameworks
        if isinstance(each, Entry) and each.python
    }
    mine = {each.framework for each in trials if each.framework in plugins and shown_framework(each) not in elsewhere}
    return Header(
        run=uuid.uuid4().hex,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        mlbench=version(CORE),
        versions={name: versions(plugins[name].distribution) for name in sorted(mine)},
        config_digest=_digest({key: value for key, value in data.items() if key != "output"}),
        config=data,
        skipped=skipped,
        verify=verify,
        folder=str(folder),
        planned={**planned, "digest": [_digest(sorted(trial.key for trial in trials))]},
        seed=config.seed,
        machine=machine_key(facts),
        facts=facts,  # type: ignore[arg-type]  # of others' executors, too
    )


def open_run(
    folder: Path,
    how: How,
    header: Header,
    trials: Sequence[Trial],
    ask: Callable[[str, str, str], FrameworkInfo | str],
) -> Opened:
    """Takes the folder for a run of these trials, and begins its journal or goes on with it.

    ask: what a framework, by its label if it has one, says of itself on a device of a kind of node, or why it cannot be asked;
    a framework is asked only if trials of an earlier part say of which version it was. Raises ConfigError if the folder holds a
    run and `how` does not say what to do with it, if another run has it, or if something has changed since the earlier part;
    JournalError for a damaged journal.
    """
    if not (how.resume or how.overwrite):
        check_free(folder)
    lock = Lock(make_folder(folder))
    try:
        if how.resume:
            contents = read(folder / NAME)
            if contents is not None:
                return _resumed(folder, how, header, trials, ask, contents, lock)
            if (folder / RESULTS).exists():
                raise ConfigError(
                    f"output: {str(folder)!r} holds results and no journal to go on with: choose another folder (--output), or "
                    "replace them (--overwrite)"
                )
        elif how.overwrite:
            clear(folder)
        else:
            check_free(folder)  # another run may have come and gone meanwhile
        return Opened(
            folder=folder,
            journal=Journal(folder / NAME, header),
            kept=NOTHING,
            parity=None,
            batches=[],
            machines={header.machine: dict(header.facts)},
            here=header.machine,
            parts=(header.part,),
            notes=(),
            lock=lock,
        )
    except BaseException:
        lock.release()
        raise


def _resumed(
    folder: Path,
    how: How,
    now: Header,
    trials: Sequence[Trial],
    ask: Callable[[str, str, str], FrameworkInfo | str],
    contents: Contents,
    lock: Lock,
) -> Opened:
    then, trials = contents.headers[-1], with_batches(trials, contents.batches)
    kept = kept_of(contents, trials, how.retry_failed)
    found = differences(then, now)
    if how.force or not found:
        ahead = trials if now.config.get("extend_until") else kept.left(trials)
        first = {shown_framework(trial): (trial.device, trial.node) for trial in reversed(ahead)}
        known = known_frameworks(contents)
        found += framework_differences(contents, {name: ask(name, *at) for name, at in first.items() if name in known})
    if found and not how.force:
        raise ConfigError(
            f"--resume: the run in {str(folder)!r} began otherwise: {'; '.join(found)}. Make it as it was, or go on all the "
            "same with --force, which marks the results"
        )
    # On the machine of an earlier part records name that part's facts: one machine is not to look like two.
    alike = (header.machine for header in contents.headers if identity(header.facts) == identity(now.facts))
    now = evolve(now, run=then.run, machine=next(alike, now.machine), forced=tuple(found))
    return Opened(
        folder=folder,
        journal=Journal(folder / NAME, now, contents.end),
        kept=kept,
        parity=contents.parity,
        batches=list(contents.batches),
        machines={**contents.machines, now.machine: contents.machines.get(now.machine, dict(now.facts))},
        here=now.machine,
        parts=(*(header.part for header in contents.headers), now.part),
        notes=tuple(_notes(folder / NAME, contents, kept, trials, found)),
        lock=lock,
    )


def _notes(journal: Path, contents: Contents, kept: Kept, trials: Sequence[Trial], forced: Sequence[str]) -> list[str]:
    ended = len(trials) - len(kept.left(trials))
    said = [f"Resumed: {ended} of {len(trials)} trials are finished and kept."]
    if kept.aside:
        said.append(
            f"Run again, so that arms are measured side by side: {len(kept.aside)} trials of unfinished blocks."
        )
    if contents.torn:
        said.append(f"{journal}: its last line was cut off as it was written, and is left out.")
    return said + [f"Forced: {line}" for line in forced]


def _digest(data: object) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]
