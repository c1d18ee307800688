"""The losses that can be asked for by name."""

from __future__ import annotations

from mlbench_core.architecture import CrossEntropy


def cross_entropy() -> CrossEntropy:
    """What every model of the core has."""
    return CrossEntropy()
