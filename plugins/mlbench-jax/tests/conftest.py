"""These tests compile the same programs again and again: all of xdist's processes share what one of them has compiled."""

import os
import tempfile

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Before JAX is imported, which reads its settings from the environment once. xdist's processes inherit the folder."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        folder = tempfile.TemporaryDirectory()
        config.add_cleanup(folder.cleanup)
        os.environ["JAX_COMPILATION_CACHE_DIR"] = folder.name
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
