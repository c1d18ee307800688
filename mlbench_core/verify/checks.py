"""The checks behind the ladder's rungs: each compares a framework with the reference and returns a Rung."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import evolve

from mlbench_core.architecture import Architecture, Dropout, Weights
from mlbench_core.hookspecs import Batch
from mlbench_core.verify import rungs, samples
from mlbench_core.verify.compare import FLOOR, relative_error, same_bits, table_errors
from mlbench_core.verify.rungs import Rung
from mlbench_core.verify.subject import Subject
from mlbench_core.verify.twin import Twin


def structure(held: Weights, architecture: Architecture) -> Rung:
    """Rung 1: names, shapes and the count of parameters are the architecture's."""
    table = {parameter.name: parameter.shape for parameter in architecture.parameters()}
    for name in [*table, *held]:
        if name not in held or name not in table or held[name].shape != table[name]:
            shapes = f"{held[name].shape if name in held else 'nothing'}, the table says {table.get(name, 'nothing')}"
            return Rung(
                number=1, name="structure", error=1.0, tolerance=0.0, where=name, note=f"the framework holds {shapes}"
            )
    return Rung(
        number=1, name="structure", error=0.0, tolerance=0.0, note=f"{architecture.num_parameters:,} parameters"
    )


def read_back(held: Weights, weights: Weights) -> Rung:
    """Rung 2: what was loaded reads back bit for bit."""
    for name, value in weights.items():
        expected = value.astype(held[name].dtype)
        if not same_bits(np.asarray(held[name]), expected):
            place = np.unravel_index(int(np.argmax(held[name] != expected)), value.shape)
            return Rung(
                number=2,
                name="weights",
                error=1.0,
                tolerance=0.0,
                where=f"{name}{[int(i) for i in place]}",
                found=float(held[name][place]),
                expected=float(expected[place]),
            )
    return Rung(number=2, name="weights", error=0.0, tolerance=0.0, note=f"{len(weights)} arrays")


def layers(subject: Subject, architecture: Architecture) -> Rung:
    """Rung 3: each kind of layer alone, forward and gradients by input and parameters, in float64."""
    worst = Rung(number=3, name="layers", error=0.0, tolerance=rungs.LAYER)
    for path, model in samples.layers_alone(architecture):
        layer = dict(model.root.layers)["layer"]  # type: ignore[attr-defined]  # `alone` makes a Sequential
        random = isinstance(layer, Dropout)
        weights = samples.scattered_weights(model, subject.seed)
        batch = samples.random_batch(model, subject.batch, subject.seed)
        cotangent = np.random.default_rng(subject.seed).standard_normal((subject.batch, model.num_classes))
        with subject.found(model, weights) as found, subject.expected(model, weights) as reference:
            parts: list[tuple[str, Any, Any]] = [("evaluation", found.infer(batch), reference.infer(batch))]
            if not random:
                one, two = found.gradients(batch, cotangent), reference.gradients(batch, cotangent)
                parts += [("training", one.output, two.output), ("gradient by the input", one.inputs, two.inputs)]
                parts += [
                    (f"gradient of {name}", one.parameters.get(name), two.parameters[name]) for name in two.parameters
                ]
        top = (
            max((float(np.abs(two.parameters[name]).max()) for name in two.parameters), default=0) if not random else 0
        )
        for what, a, b in parts:
            if b is None:
                continue
            # A gradient that is zero in exact arithmetic is all rounding: measure it against its neighbours (compare.FLOOR).
            floor = FLOOR * top if what.startswith("gradient of") else 0.0
            rung = compared(3, "layers", a, b, rungs.LAYER, f"{path or 'the root'}, {layer}: {what}", floor)
            if not rung.error <= worst.error:
                worst = rung
        if not worst.passed:
            return worst
    return worst


def gradients(found: Twin, reference: Twin, batch: Batch) -> Rung:
    """Rung 5: the gradient of the loss by every parameter, in float64."""
    one, two = found.gradients(batch), reference.gradients(batch)
    return table(5, "gradients", one.parameters, two.parameters, rungs.GRADIENT)


def lock_step(
    subject: Subject, found: Twin, reference: Twin, architecture: Architecture, losses: list[float]
) -> Iterator[Rung]:
    """Rung 6: 25 float64 training steps on the same batches, of the depth-scaled model; the reference's losses are left in
    `losses`."""
    worst = Rung(number=6, name="lock-step losses", error=0.0, tolerance=rungs.LOSSES)
    for step in range(rungs.LOCK_STEPS):
        batch = samples.learnable_batch(architecture, subject.batch, subject.seed + step)
        losses.append(reference.train(batch))
        rung = compared(6, worst.name, found.train(batch), losses[-1], rungs.LOSSES, f"step {step + 1}")
        worst = worst if rung.error <= worst.error else rung
        if not worst.passed:
            break
    yield worst
    yield table(6, "lock-step weights", found.weights(), reference.weights(), rungs.WEIGHTS)


def precision_sanity(
    subject: Subject, architecture: Architecture, weights: Weights, precision: str, execution: str, losses: list[float]
) -> Rung:
    """Rung 7: 20 steps at the run's own precision and execution; the loss stays in a band around the reference's."""
    name = f"precision {precision}" + ("" if execution == "default" else f", {execution}")
    band = rungs.PRECISION_BANDS[precision]
    problem = subject.info.refusal(precision, execution)
    if problem:
        return Rung(number=7, name=name, error=0.0, tolerance=band, note=f"not offered, so not compared: {problem}")
    if not losses:  # no float64 in the framework: the reference parity alone
        with subject.expected(architecture, weights) as reference:
            batches = (
                samples.learnable_batch(architecture, subject.batch, subject.seed + step)
                for step in range(rungs.PRECISION_STEPS)
            )
            losses += [reference.train(batch) for batch in batches]
    worst = Rung(number=7, name=name, error=0.0, tolerance=band)
    with subject.found(architecture, weights, precision, execution) as found:
        for step, expected in enumerate(losses[: rungs.PRECISION_STEPS]):
            loss = found.train(samples.learnable_batch(architecture, subject.batch, subject.seed + step))
            error = abs(loss - expected) / abs(losses[0]) if math.isfinite(loss) else math.inf
            if not error <= worst.error:
                worst = Rung(
                    number=7,
                    name=name,
                    error=error,
                    tolerance=band,
                    where=f"step {step + 1}",
                    found=loss,
                    expected=expected,
                )
    return worst


def table(number: int, name: str, found: Weights, expected: Weights, tolerance: float) -> Rung:
    """The rung for a table of arrays: the first parameter beyond the tolerance in the tree's order, else the worst."""
    errors = table_errors(found, expected)
    beyond = [key for key in expected if not errors[key] <= tolerance]
    where = beyond[0] if beyond else max(expected, key=lambda key: errors[key], default="")
    if not where:
        return Rung(number=number, name=name, error=0.0, tolerance=tolerance)
    return evolve(compared(number, name, found.get(where), expected[where], tolerance, where), error=errors[where])


def compared(
    number: int, name: str, found: Any, expected: npt.ArrayLike, tolerance: float, where: str = "", floor: float = 0.0
) -> Rung:
    """The rung for one array: its relative error, and the two values where they are furthest apart.

    floor: the error is taken relative to at least this.
    """
    b = np.asarray(expected, np.float64)
    if found is None or np.shape(found) != b.shape:
        shape = "nothing" if found is None else f"shape {np.shape(found)}"
        return Rung(
            number=number,
            name=name,
            error=math.inf,
            tolerance=tolerance,
            where=where,
            note=f"the framework gave {shape}, the reference {b.shape}",
        )
    a = np.asarray(found, np.float64)
    largest = float(np.abs(b).max(initial=0.0))
    error = relative_error(a, b, max(largest, floor) or None)
    place = np.unravel_index(int(np.argmax(np.where(np.isfinite(a), np.abs(a - b), np.inf))), b.shape) if b.size else ()
    return Rung(
        number=number,
        name=name,
        error=error,
        tolerance=tolerance,
        where=where,
        found=float(a[place]),
        expected=float(b[place]),
    )
