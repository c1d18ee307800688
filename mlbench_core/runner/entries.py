"""The entries of `frameworks` -> those that run, each with its framework's full name and the interpreter of its workers."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator

from mlbench_core.entry import Entry
from mlbench_core.errors import ConfigError, PluginError, unknown
from mlbench_core.installed import ALIASES, INSTALL_HINTS, REFERENCE, Installed, disabled_names, framework_name

Elsewhere = Callable[[str, str], Installed]
"""(interpreter, framework that is wanted of it) -> the plugins that it has."""


def entries_of(
    frameworks: Iterable[str | Entry], here: Installed, elsewhere: Elsewhere, skip: tuple[str, ...]
) -> list[Entry]:
    """The entries to run, in the order in which they were asked for.

    here: the plugins of this interpreter. skip: frameworks, or labels, to leave out. A framework that has an interpreter of its
    own need not be installed here. Raises PluginError for a framework that is not there or unknown, ConfigError for an
    interpreter that cannot be used and for two entries that would be called the same.
    """
    asked = [each if isinstance(each, Entry) else Entry(each) for each in frameworks]
    known = {*here.usable, *here.conflicts, *disabled_names(here), *INSTALL_HINTS}
    labels = {each.label for each in asked if each.label}
    skipped = {ALIASES.get(name, name) for name in skip}
    for name in skipped - known - labels:
        raise PluginError("--skip-frameworks: " + unknown("framework", name, known | labels))
    found: dict[str, Entry] = {}
    for each in asked:
        for entry in _entries(each, here, elsewhere, skipped):
            if found.setdefault(entry.shown, entry) != entry:
                raise ConfigError(
                    f"frameworks: two entries are called {entry.shown!r}; give each a label of its own, "
                    f"such as {{name: {entry.name}, label: {entry.name}-2}}"
                )
    if not found:
        names = ", ".join(each.shown for each in asked)
        raise PluginError(f"--skip-frameworks {' '.join(skip)}: no framework is left of {names}")
    return list(found.values())


def _entries(asked: Entry, here: Installed, elsewhere: Elsewhere, skipped: set[str]) -> Iterator[Entry]:
    """What an entry stands for: of `all`, every installed framework; none where it is skipped."""
    if asked.name == "all":
        for conflict in (line for name, line in here.conflicts.items() if name not in skipped):
            warnings.warn(f"frameworks: all leaves one out: {conflict}", stacklevel=2)
        names = [name for name in here.usable if name != REFERENCE] or [REFERENCE]
        yield from (Entry(name, sys.executable) for name in names if name not in skipped)
    elif not {ALIASES.get(asked.name, asked.name), asked.label} & skipped:
        _check_label(asked, here)
        python = _python(asked)
        installed = here if python == sys.executable else elsewhere(python, ALIASES.get(asked.name, asked.name))
        name = framework_name(asked.name, installed, "" if python == sys.executable else python)
        if name not in skipped:
            yield Entry(name, python, asked.label)


def _python(entry: Entry) -> str:
    if not entry.python:
        return sys.executable
    found = shutil.which(entry.python)
    if found is None:
        raise ConfigError(
            f"frameworks: {entry.shown}: {entry.python!r} is not a Python interpreter that can be started; a relative path "
            f"starts at the working directory, {os.getcwd()}"
        )
    return os.path.abspath(found)


def _check_label(entry: Entry, here: Installed) -> None:
    """Nothing is called as another framework is."""
    if entry.label in {*here.usable, *here.conflicts, *INSTALL_HINTS, *ALIASES, "all"}:
        raise ConfigError(
            f"frameworks: the label {entry.label!r} is a framework's name; take another, such as {entry.name}-2"
        )
