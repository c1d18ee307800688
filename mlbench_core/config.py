"""YAML, JSON or keyword arguments -> a validated Config; the shipped configurations."""

from __future__ import annotations

from attrs import frozen


@frozen
class Measure:
    """How a trial is timed. Seconds and counts; the sources of the defaults are in docs/methodology.md.

    One *value* is the time of k steps with one synchronisation at its end, k chosen so that a value takes `value_seconds`.
    """

    warmup_steps: int = 20
    warmup_seconds: float = 3.0
    value_seconds: float = 0.1
    min_values: int = 30
    min_seconds: float = 5.0
    max_seconds: float = 60.0
    queries: int = 1000
