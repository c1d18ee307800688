"""What the kit asserts of a plugin's session next to the reference's, with the bounds and their reasons."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import frozen

from mlbench_core.architecture import Architecture, Weights
from mlbench_core.hookspecs import Batch
from mlbench_core.record import MemoryReading
from mlbench_core.reference import plugin as reference_plugin
from mlbench_core.testing import cases
from mlbench_core.testing.driver import Driver
from mlbench_core.trial import Plan
from mlbench_core.verify import samples
from mlbench_core.verify.compare import relative_error, same_bits, table_errors, worst
from mlbench_core.verify.twin import Twin

# The bounds. A float64 product or sum rounds by 1.1e-16 of its size, and a pass through the deepest case here chains some
# hundreds of them, so 1e-10 leaves room for any order of summation and none for another formula or constant.
FORWARD = 1e-10
GRADIENT = 1e-9
"""Ten times FORWARD: normalisation over a few values subtracts nearly equal numbers on the way back."""
STEP_LOSS = 1e-9
STEP_WEIGHTS = 1e-8
"""Each step feeds the last one's rounding back. Noise of 3e-16 on every weight at every step moves the losses of these ten
steps by up to 1e-14 and the weights by up to 6e-12; SGD with a learning rate kept in float32 moves them by more than 1e-9."""
REPEATED = 1e-12
"""The same numbers computed twice by one framework; not zero, because threads may add in another order."""
SINGLE = 1e-4
"""Float32 rounds by 6e-8, and the reference itself is off by 5e-7 here; TF32 or 16-bit products are off by 1e-3."""
REDUCED = 0.1
"""Bfloat16 rounds by up to 4e-3; three layers of it stay far below this, and a wrong layer is far above."""

QUEUED_BATCH, QUEUED_STEPS = 128, 5
"""Of cases.WIDE: some milliseconds of work, where reading a number that is there takes microseconds."""

COUNTERS = {"live_tensors", "live_tensors_peak", "pool", "pool_peak"}


@frozen
class Pair:
    """The plugin's session and the reference's in float64, of one architecture with the same weights."""

    architecture: Architecture
    weights: Weights
    found: Twin
    expected: Twin


def reference(architecture: Architecture, weights: Weights) -> AbstractContextManager[Twin]:
    """The reference's session in float64."""
    plan = Plan(
        device="cpu",
        precision="fp64",
        execution="eager",
        batch_size=cases.BATCH,
        optimizer=architecture.optimizer,
        loss=architecture.loss,
        threads=1,
        seed=0,
        task="train",
    )
    return Driver(reference_plugin).session(architecture, weights, plan)


def assert_close(what: str, found: npt.ArrayLike, expected: npt.ArrayLike, tolerance: float) -> None:
    """The largest difference is within `tolerance` of the largest expected element."""
    error = relative_error(found, expected)
    assert error <= tolerance, (
        f"{what}: shape {np.shape(found)} against {np.shape(expected)}, relative error {error:.2e}, allowed {tolerance:.0e}"
    )


def assert_tables_close(what: str, found: Weights, expected: Weights, tolerance: float) -> None:
    """The same for every array of a table, see compare.FLOOR."""
    name, error = worst(table_errors(found, expected))
    assert error <= tolerance, f"{what}: {name} has a relative error of {error:.2e}, allowed {tolerance:.0e}"


def assert_unchanged(what: str, found: Weights, before: Weights) -> None:
    """Every array has the very bits it had."""
    changed = sorted(name for name, value in found.items() if not same_bits(value, before[name]))
    assert not changed, f"{what} changed {changed}"


def assert_weights_read_back(pair: Pair, dtype: Any) -> None:
    """Names, shapes and the count are the table's, and every bit is what went in."""
    architecture, read = pair.architecture, pair.found.weights()
    table = {parameter.name: parameter for parameter in architecture.parameters()}
    assert set(read) == set(table), f"read_weights() and the table differ in {sorted(set(read) ^ set(table))}"
    for name, value in read.items():
        assert value.shape == table[name].shape, f"{name} has shape {value.shape}, the table says {table[name].shape}"
        assert value.dtype == dtype, f"{name} is {value.dtype}, not {np.dtype(dtype)}"
        assert same_bits(np.asarray(value), pair.weights[name].astype(dtype)), f"{name} came back with other values"
    count = sum(value.size for name, value in read.items() if table[name].trainable)
    assert count == architecture.num_parameters, f"{count} trainable elements, not {architecture.num_parameters}"


def assert_same_gradients(pair: Pair, batch: Batch, cotangent: npt.NDArray[Any] | None) -> None:
    """Output, loss, and the gradients by inputs and parameters of one pass in training mode."""
    found, expected = pair.found.gradients(batch, cotangent), pair.expected.gradients(batch, cotangent)
    assert_close("output in training mode", found.output, expected.output, FORWARD)
    if expected.loss is None:
        assert found.loss is None, f"under a cotangent the loss is None, not {found.loss}"
    else:
        assert found.loss is not None, "without a cotangent the loss is a number, not None"
        assert_close("loss", found.loss, expected.loss, FORWARD)
    assert_tables_close("gradients", found.parameters, expected.parameters, GRADIENT)
    if expected.inputs is None:
        assert found.inputs is None, "token inputs have no gradient: inputs must be None"
    else:
        assert found.inputs is not None, "float inputs have a gradient: inputs must not be None"
        assert_close("gradient by the inputs", found.inputs, expected.inputs, GRADIENT)


def assert_lock_step(pair: Pair, steps: int, prefix: str = "") -> None:
    """Both train on the same two batches in turn; losses at every step, then all weights and running statistics."""
    batches = [cases.random_batch(pair.architecture, seed) for seed in (0, 1)]
    for step in range(steps):
        batch = batches[step % 2]
        assert_close(f"{prefix}loss at step {step}", pair.found.train(batch), pair.expected.train(batch), STEP_LOSS)
    assert_tables_close(
        f"{prefix}weights after {steps} steps", pair.found.weights(), pair.expected.weights(), STEP_WEIGHTS
    )


def assert_readings(readings: list[MemoryReading], num_parameters: int) -> None:
    """Known names, and at least the bytes of a known allocation: that many float32 parameters, which are in every counter."""
    for reading in readings:
        assert reading.name in COUNTERS, f"memory counter {reading.name!r} is none of {sorted(COUNTERS)}"
        assert reading.bytes > 0, f"{reading.name} is {reading.bytes}; an unknown counter is absent, never 0"
        assert reading.bytes >= 4 * num_parameters, (
            f"memory_probe() says that {reading.name} is {reading.bytes} bytes, and the model alone has {4 * num_parameters}"
        )


def assert_waits(driver: Driver, pair: Pair) -> None:
    """Most of the time of some steps goes by before `synchronize` returns, and not in reading the loss afterwards."""
    session, placed = pair.found.session, pair.found.place(samples.random_batch(pair.architecture, QUEUED_BATCH, 0))
    for _ in range(2):  # compiles
        pair.found.train_placed(placed)
    begun = perf_counter()
    for _ in range(QUEUED_STEPS):
        loss = driver.train_step(session, placed)
    driver.synchronize(session, loss)
    waited = perf_counter()
    driver.to_numpy(session, loss)
    late, whole = perf_counter() - waited, perf_counter() - begun
    assert late < whole / 2, (
        f"synchronize returned before the work was done: reading the loss afterwards took {late:.1e} s of {whole:.1e} s"
    )


def assert_knobs(knobs: dict[str, str]) -> None:
    """Names and values are texts, as they go into the record."""
    texts = all(isinstance(item, str) for both in knobs.items() for item in both)
    assert texts, f"read_knobs() must return strings: {knobs}"


def assert_nothing_compiles_again(count: Callable[[], int], pair: Pair) -> None:
    """Steps and queries of a shape that was seen before compile nothing; `count` says how often anything was compiled."""
    batch, other = (cases.random_batch(pair.architecture, seed) for seed in (0, 1))
    for _ in range(2):  # some compile in the second step, once running statistics or moments have their final type
        pair.found.train(batch)
        pair.found.infer(batch)
    before = count()
    pair.found.train(other)
    pair.found.infer(other)
    assert before >= 0, f"compilations() is {before}"
    assert count() == before, f"compilations() went from {before} to {count()} though no new shape came"
    if before:
        pair.found.train(samples.random_batch(pair.architecture, 2 * cases.BATCH, 2))
        assert count() > before, "a batch of a new size compiled nothing that compilations() counts"


def whole_file(path: Path, program: bytes) -> None:
    """The program in the place of the model."""
    path.write_bytes(program)


def members_of_archive(path: Path, program: bytes) -> None:
    """The program in the place of each pickle within an archive; another file stays as it is."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, program if name.endswith(".pkl") else content)


TRAPS = (whole_file, members_of_archive)


def assert_runs_no_code(
    load: Callable[[Path], object], path: Path, trap: Callable[[Path, bytes], None], mark: Path
) -> None:
    """A saved model with a program for pickle in it leaves no `mark` when it is loaded, whether it is refused or not."""
    if not path.is_file():
        return
    trap(path, f"cposix\nsystem\n(S'touch {mark}'\ntR.".encode())
    with contextlib.suppress(Exception):
        load(path)
    assert not mark.exists(), f"load() ran a program that was in {path.name}: load values only"
