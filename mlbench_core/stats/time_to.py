"""How long N training steps take, compilation included, and from which step on a compiled arm has overtaken an eager one."""

from __future__ import annotations

import math


def time_to(steps: int, first_step_s: float, step_s: float) -> float:
    """Seconds for `steps` training steps from the first on: the first with its compilation, then `step_s` each."""
    return first_step_s + (steps - 1) * step_s


def crossover(first_a: float, step_a: float, first_b: float, step_b: float) -> int | None:
    """The number of the step at which the arm that started later has caught up.

    None if there is no such step: one arm is ahead in both, its first step and the others.
    """
    if (first_a - first_b) * (step_a - step_b) >= 0:
        return None
    return 1 + math.ceil((first_a - first_b) / (step_b - step_a))
