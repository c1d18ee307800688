"""Every error of mlbench says what was wrong, where, and what to do next.

The command line prints an `MlbenchError` as one line, without a traceback, and exits with status 2.
Anything else that escapes is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MlbenchError(Exception):
    """The base of all errors that a user can mend."""


class ConfigError(MlbenchError):
    """A configuration, an option or a data file holds something that cannot be run."""


class ResultsError(MlbenchError):
    """A results file is not there, is damaged, or is of another program or version."""


class JournalError(MlbenchError):
    """The journal of a run is damaged, cannot be written, or is of another program or version."""


class ExecutorError(MlbenchError):
    """An executor cannot be reached, or has nothing left to run on."""


class PluginError(MlbenchError):
    """A plugin is missing, broken, or named twice."""


class ArchitectureError(MlbenchError):
    """A layer cannot take the shape it was given; the message names the layer's path."""


class UnsupportedError(MlbenchError):
    """A framework does not offer what a trial asks for (a layer, a precision, an execution, a device)."""


class DivergedError(MlbenchError):
    """A loss or an output is not a finite number."""


def in_one_line(error: BaseException) -> str:
    """The error's type, unless it is one of ours, and the first line of its message that says something."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    kind = "" if isinstance(error, MlbenchError) else f"{type(error).__name__}: "
    return f"{kind}{first[:300]}".removesuffix(": ")


def unknown(what: str, value: object, known: Iterable[str], hint: str = "") -> str:
    """One line for a name that nobody knows: the value, the nearest name, and all names that would do.

    >>> unknown("model", "resnet19", ["mlp", "resnet18"])
    "unknown model 'resnet19': did you mean 'resnet18'? Known: mlp, resnet18"
    """
    names = sorted(known)
    near = difflib.get_close_matches(str(value), names, n=1)
    guess = f": did you mean {near[0]!r}?" if near else "."
    return f"unknown {what} {value!r}{guess} Known: {', '.join(names) or 'none'}" + (f". {hint}" if hint else "")


def show(value: object) -> str:
    """A value in a message, cut where it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a whole number of thousands of digits; lists nested without end
        text = f"this {type(value).__name__} is too long to show, and"
    return text if len(text) <= 60 else text[:57] + "..."
