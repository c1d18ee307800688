"""The conformance kit on dune."""

from mlbench_core.testing.reporters import ReporterConformance
from mlbench_dune.plugin import register_reporters


class TestDune(ReporterConformance):
    descriptor = register_reporters()[0]
    needs_file = False  # TODO 3: True if it reads benchmark_results.json of the run's folder
