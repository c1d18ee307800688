"""What a worker says of an exception: by type and text alone, whatever framework raised it."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench_core.errors import DivergedError, MlbenchError, PluginError, UnsupportedError
from mlbench_core.executors.events import parse
from mlbench_core.record import MemoryReading
from mlbench_core.worker.failure import OutOfMemoryError, failure_of, short_of_memory


def named(name: str) -> Callable[[str], Exception]:
    return type(name, (RuntimeError,), {})


ON_A_GPU = [
    # PyTorch 2.12, JAX 0.10, TensorFlow 2.21, as they print it; cuBLAS through any of them.
    (
        named("OutOfMemoryError"),
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of ...",
        "device",
    ),
    (
        named("AcceleratorError"),
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "device",
    ),
    (
        named("JaxRuntimeError"),
        "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 17179869184 bytes.",
        "device",
    ),
    (
        named("ResourceExhaustedError"),
        "{{function_node __wrapped__Mul_device_/GPU:0}} failed to allocate memory",
        "host",
    ),
    (named("ResourceExhaustedError"), "OOM when allocating tensor with shape[65536,65536] and type float", "device"),
    (named("RuntimeError"), "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", "device"),
    (named("RuntimeError"), "CUDA driver error: CUDA_ERROR_OUT_OF_MEMORY", "device"),
    (
        named("RuntimeError"),
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes",
        "host",
    ),
    (MemoryError, "", "host"),
    (OSError, "[Errno 12] Cannot allocate memory", "host"),
    (named("RuntimeError"), "std::bad_alloc", "host"),
]


@pytest.mark.parametrize(("kind", "text", "where"), ON_A_GPU)
def test_lack_of_memory_is_known_by_what_is_raised(kind: Callable[[str], Exception], text: str, where: str) -> None:
    told = failure_of(kind(text), "cuda:1", "train")
    assert (told["status"], told["ending"]["out_of"]) == ("out-of-memory", where)
    assert told["reason"].startswith(f"out of memory on {'cuda:1' if where == 'device' else 'the host'} during train (")
    assert told["reason"].endswith("; take a smaller batch size or model")
    assert "\n" not in told["reason"]
    assert failure_of(kind(text), "cpu", "train")["ending"]["out_of"] == "host"


@pytest.mark.parametrize(
    "text", ["CUDA error: invalid argument", "no memory of it", "allocated 3 GPUs", "the room is full"]
)
def test_other_errors_are_not(text: str) -> None:
    assert short_of_memory(RuntimeError(text)) is None


def test_it_may_be_the_cause_of_another() -> None:
    try:
        try:
            raise MemoryError
        except MemoryError as error:
            raise PluginError("the model's factory raised MemoryError") from error
    except PluginError as error:
        told = failure_of(error, "cpu", "setup")
    assert (told["status"], told["ending"]["exception"]) == ("out-of-memory", "PluginError")


def raised(error: Exception, probe: Callable[[], list[MemoryReading]]) -> Exception:
    try:
        try:
            raise error
        except Exception as cause:
            raise OutOfMemoryError(probe) from cause
    except OutOfMemoryError as found:
        return found


def test_the_memory_at_that_moment_is_told() -> None:
    error = named("OutOfMemoryError")("CUDA out of memory.")
    told = failure_of(raised(error, lambda: [MemoryReading("live_tensors", 75_200_000_000)]), "cuda:0", "first_step")
    assert [(each["name"], each["bytes"] > 0) for each in told["ending"]["memory"]] == [
        ("live_tensors", True),
        ("host_resident", True),
    ]
    assert "during first_step (live_tensors 75 GB, host_resident " in told["reason"]
    assert told["reason"].endswith("): OutOfMemoryError: CUDA out of memory.; take a smaller batch size or model")


def test_a_probe_that_fails_costs_its_readings_alone() -> None:
    def broken() -> list[MemoryReading]:
        raise RuntimeError("no session")

    told = failure_of(raised(MemoryError(), broken), "cpu", "train")
    assert (told["status"], [each["name"] for each in told["ending"]["memory"]]) == ("out-of-memory", ["host_resident"])


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (UnsupportedError("no bf16 here"), "unsupported", "no bf16 here"),
        (DivergedError("the loss is nan"), "diverged", "the loss is nan"),
        (MlbenchError("it cannot stand"), "failed", "it cannot stand"),
        (KeyError("w\nx"), "failed", "KeyError: 'w\\nx'"),
        (ValueError("\n one\n two"), "failed", "ValueError: one"),
        (ValueError(), "failed", "ValueError"),
    ],
)
def test_the_others(error: Exception, status: str, reason: str) -> None:
    told = failure_of(error, "cpu", "train")
    assert (told["status"], told["reason"]) == (status, reason)
    assert (told["ending"]["exception"], told["ending"]["message"]) == (type(error).__name__, str(error))


@given(st.text(max_size=200), st.sampled_from([ValueError, MlbenchError, MemoryError, UnsupportedError]))
def test_whatever_is_raised_is_an_event(text: str, kind: type[Exception]) -> None:
    import json

    event: dict[str, Any] = {"event": "failed", **failure_of(kind(text), "cpu", "train")}
    assert parse(json.dumps(event).encode()) == json.loads(json.dumps(event))


def test_a_chain_without_end_ends() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert short_of_memory(first) is None
