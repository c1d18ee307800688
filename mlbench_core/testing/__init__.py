"""The conformance kit: subclass `mlbench_core.testing.conformance.FrameworkConformance` in a plugin's tests."""
