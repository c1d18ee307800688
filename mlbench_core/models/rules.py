"""The optimisers that can be asked for by name, with numbers to begin with: the usual ones, in powers of two."""

from __future__ import annotations

from mlbench_core.architecture import Optimizer


def sgd() -> Optimizer:
    """Momentum 0.9."""
    return Optimizer(name="sgd", learning_rate=2**-7)


def adamw() -> Optimizer:
    """A learning rate of about 0.001, and a decay of about 0.01."""
    return Optimizer(name="adamw", learning_rate=2**-10, weight_decay=2**-7)
