"""The time that a worker may take, in all and per phase."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from attrs import frozen


@frozen
class Reached:
    """A limit that was reached. key: of the configuration. seconds: the limit. phase: of the worker."""

    key: str
    seconds: float
    phase: str

    def __str__(self) -> str:
        whose = "time limit" if self.key == "time_limit_s" else f"limit of the phase {self.phase}"
        return f"stopped during {self.phase} after the {whose} of {self.seconds:g} s ({self.key})"


class Limits:
    """A clock over a worker's life; it stands still until the first `resume`, and from each `pause` to the next."""

    def __init__(self, trial_s: float, phase_s: float | Mapping[str, float] | None) -> None:
        self.phase = "start"
        self._trial_s, self._phase_s = trial_s, phase_s
        self._taken, self._since, self._entered = 0.0, math.nan, 0.0

    def resume(self) -> None:
        """The clock goes on."""
        self._since = time.monotonic()

    def pause(self) -> None:
        """The clock stands still."""
        self._taken, self._since = self._elapsed(), math.nan

    def enter(self, phase: str) -> None:
        """A phase begins; one that comes twice has its time twice."""
        self.phase, self._entered = phase, self._elapsed()

    def left(self) -> float:
        """Seconds until the first limit is reached; not below 0."""
        elapsed = self._elapsed()
        return max(0.0, min(self._trial_s - elapsed, self._of_phase() - (elapsed - self._entered)))

    def reached(self) -> Reached | None:
        """The limit that was reached, if one was."""
        elapsed = self._elapsed()
        if elapsed - self._entered >= self._of_phase():
            return Reached("phase_limit_s", self._of_phase(), self.phase)
        return Reached("time_limit_s", self._trial_s, self.phase) if elapsed >= self._trial_s else None

    def _elapsed(self) -> float:
        return self._taken + (0.0 if math.isnan(self._since) else time.monotonic() - self._since)

    def _of_phase(self) -> float:
        limit = self._phase_s
        if isinstance(limit, Mapping):
            limit = limit.get(self.phase)
        return math.inf if limit is None else limit
