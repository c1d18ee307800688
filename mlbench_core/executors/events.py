"""What a worker tells its parent: JSON lines on a pipe that nothing else writes to.

The pipe is none of the standard streams: what `sitecustomize`, a library or a framework prints, from before the worker's own
code runs, goes to the log. A line on the pipe that is not one of the events below is for the log, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlbench_core.hookspecs import FrameworkInfo
from mlbench_core.record import Ending, Measured
from mlbench_core.serialize import from_json
from mlbench_core.verify.rungs import ParityResult

EVENTS: Mapping[str, Mapping[str, type]] = {
    "phase": {"name": str},
    "info": {"info": dict},
    "turn": {},
    "gathering": {"address": str},
    "progress": {"done": int, "total": int},
    "rung": {"model": str, "number": int, "name": str},
    "parity": {"parity": dict},
    "done": {},
    "failed": {"status": str, "reason": str},
}
"""The events by name, with the fields that each always has; what "done" has besides depends on the job."""

FINAL = ("done", "failed")
"""After one of these a worker says no more."""
CARRIED: Mapping[str, type] = {"info": FrameworkInfo, "parity": ParityResult, "measured": Measured, "ending": Ending}
"""Fields that hold a value of ours as plain data: whoever follows the events takes them for granted."""
BEGINNING = b'{"event": '
LONG = 2**20
"""Bytes; a line that is longer and does not begin as ours do is not even read: values of what it holds may fill the memory."""
TOLD = ("out-of-memory", "failed", "diverged", "unsupported")
"""How a worker can say of itself that its job ended."""


def parse(line: bytes) -> dict[str, Any] | None:
    """The event on a line; None for a line that is none of ours."""
    if len(line) > LONG and not line.startswith(BEGINNING):
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict):
        return None
    wanted = EVENTS.get(str(event.get("event")))
    if wanted is None or not all(isinstance(event.get(name), kind) for name, kind in wanted.items()):
        return None
    if event["event"] == "failed" and event["status"] not in TOLD:
        return None
    return event if all(_fits(event[name], kind) for name, kind in CARRIED.items() if name in event) else None


def _fits(data: object, kind: type) -> bool:
    try:
        from_json(data, kind)
    except Exception:  # cattrs raises whatever a conversion does
        return False
    return True
