"""Keras asks for its backend when it is imported; a test may import it before any hook was called."""

import gc
import os

import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture(scope="session", autouse=True)
def _quick_collections():
    """Closing a session runs the garbage collector, a third of a second over TensorFlow's own million objects. A worker closes
    one session, these tests two hundred: so what an import leaves is set aside."""
    import tensorflow  # noqa: F401

    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
