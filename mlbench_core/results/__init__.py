"""Results: what came of a run, as a data frame, JSON and CSV."""

from mlbench_core.results.results import Results

__all__ = ["Results"]
