"""The ladder: READ `climb`. Each rung compares a framework with the NumPy reference, and so with every other framework."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import evolve, field, frozen

from mlbench_core.architecture import Architecture, Dropout, Weights, initial_weights
from mlbench_core.errors import PluginError
from mlbench_core.hookspecs import Batch, FrameworkInfo
from mlbench_core.plugins import REFERENCE, Framework, attribute, load_framework
from mlbench_core.trial import ModelSource, Plan
from mlbench_core.verify import rungs, samples
from mlbench_core.verify.compare import relative_error, same_bits, table_errors
from mlbench_core.verify.rungs import Rung
from mlbench_core.verify.twin import Twin, twin

BATCH = 16
"""Samples per batch: enough for BatchNorm's statistics over single pixels, few enough for float64 on two cores."""


@frozen
class Pair:
    """A framework and the reference, ready to make twins of an architecture."""

    framework: Framework
    info: FrameworkInfo
    device: str
    threads: int
    seed: int
    source: ModelSource
    reference: Framework = field(factory=lambda: load_framework(REFERENCE))

    @property
    def hand_written(self) -> bool:
        """Whether the model names a native build for the framework; that may still leave an architecture to the lowering."""
        return self.framework.name in self.source.native

    def built_natively(self, architecture: Architecture, runs: tuple[tuple[str, str], ...]) -> bool:
        """Whether the framework's model is hand-written, in float64 and in all of `runs` alike.

        Raises PluginError if it is in some only: what float64 proves would then be said of another model.
        """
        if not self.hand_written:
            return False
        build = attribute(self.source.native[self.framework.name])
        kinds = [kind for kind in (("fp64", "default"), *runs) if not self.info.refusal(*kind)]
        made = {kind: build(architecture, self._plan(architecture, self.device, *kind)) is not None for kind in kinds}
        if len(set(made.values())) > 1:
            lacking = ", ".join(precision for (precision, _), here in made.items() if not here)
            raise PluginError(f"the native build leaves {lacking} to the lowering and takes the others itself")
        return any(made.values())

    def found(
        self, architecture: Architecture, weights: Weights, precision: str = "fp64", execution: str = "default"
    ) -> Any:
        """The framework's twin; use as a context."""
        plan = self._plan(architecture, self.device, precision, execution)
        return twin(self.framework, self.source, architecture, weights, plan)

    def expected(self, architecture: Architecture, weights: Weights) -> Any:
        """The reference's twin in float64; use as a context."""
        source = evolve(self.source, native={})
        return twin(self.reference, source, architecture, weights, self._plan(architecture, "cpu", "fp64", "eager"))

    def _plan(self, architecture: Architecture, device: str, precision: str, execution: str) -> Plan:
        name = self.info.default_execution if execution == "default" else execution
        return Plan(device, precision, name, BATCH, architecture.optimizer, self.threads, self.seed, "train")


def climb(pair: Pair, architecture: Architecture, runs: tuple[tuple[str, str], ...]) -> tuple[Rung, ...]:
    """Climbs until a rung does not hold; returns the rungs that were climbed.

    A rung that cannot be climbed (the framework has no float64, or lacks a hook) is returned with the error nan and a note,
    and the next one is tried. runs: the (precision, execution) pairs of rung 7.

    A hand-written native build is compared as a whole: rung 3 has no layers of its to take apart, and it knows no depth-scaled
    variant. One whose declared parameters are not the architecture's cannot be compared: rung 1 then has the error nan.
    """
    climbed: list[Rung] = []
    try:
        for rung in _ladder(pair, architecture, runs):
            climbed.append(rung)
            if not rung.passed and not rung.absent:
                break
    except PluginError as error:  # the plugin itself saw that it had built something else
        climbed.append(Rung(1, "structure", math.inf, 0.0, note=str(error)))
    return tuple(_unmapped(rung) if pair.hand_written and rung.number == 1 else rung for rung in climbed)


def _unmapped(rung: Rung) -> Rung:
    note = f"the native build cannot be compared with the architecture: {rung.note}"
    return rung if rung.passed else evolve(rung, error=math.nan, note=note)


def _ladder(pair: Pair, architecture: Architecture, runs: tuple[tuple[str, str], ...]) -> Iterator[Rung]:
    native = pair.built_natively(architecture, runs)
    if not native:
        architecture = samples.affordable(architecture)
    weights = initial_weights(architecture, pair.seed)
    double = "fp64" in pair.info.precisions
    if not double:
        yield Rung(3, "layers", math.nan, rungs.LAYER, note=f"{pair.info.name} offers no fp64 on this device")
    elif "gradients" not in pair.framework.hooks:
        yield Rung(3, "layers", math.nan, rungs.LAYER, note=f"{pair.info.name} has no hook gradients")
    precision = "fp64" if double else pair.info.precisions[0]
    with pair.found(architecture, weights, precision) as found:
        held = found.weights()
    yield structure(held, architecture)
    yield read_back(held, weights)
    if double and "gradients" in pair.framework.hooks and not native:
        yield layers(pair, architecture)
    scattered = samples.scattered_weights(architecture, pair.seed)
    batch = samples.random_batch(architecture, BATCH, pair.seed)
    with pair.expected(architecture, scattered) as reference:
        logits = reference.infer(batch)
    for name, tolerance in (("fp64", rungs.FORWARD), ("fp32", rungs.FORWARD_FP32)):
        if name in pair.info.precisions:
            with pair.found(architecture, scattered, name) as found:
                yield compared(4, f"forward, {name}", found.infer(batch), logits, tolerance)
    still = architecture.without_dropout()
    if double and "gradients" in pair.framework.hooks:
        with pair.found(still, weights) as found, pair.expected(still, weights) as reference:
            yield gradients(found, reference, samples.learnable_batch(still, BATCH, pair.seed))
    still = still if native else samples.depth_scaled(still)
    # A learning rate that float32 can hold would hide a framework that keeps it in float32; a tenth more cannot be held.
    rule = still.optimizer
    still = evolve(still, optimizer=evolve(rule, learning_rate=1.1 * rule.learning_rate))
    weights = initial_weights(still, pair.seed)
    losses: list[float] = []
    if double:
        with pair.found(still, weights) as found, pair.expected(still, weights) as reference:
            yield from lock_step(found, reference, still, pair.seed, losses)
    for precision, execution in runs:
        yield precision_sanity(pair, still, weights, precision, execution, losses)


def structure(held: Weights, architecture: Architecture) -> Rung:
    """Rung 1: names, shapes and the count of parameters are the architecture's."""
    table = {parameter.name: parameter.shape for parameter in architecture.parameters()}
    for name in [*table, *held]:
        if name not in held or name not in table or held[name].shape != table[name]:
            shapes = f"{held[name].shape if name in held else 'nothing'}, the table says {table.get(name, 'nothing')}"
            return Rung(1, "structure", 1.0, 0.0, where=name, note=f"the framework holds {shapes}")
    return Rung(1, "structure", 0.0, 0.0, note=f"{architecture.num_parameters:,} parameters")


def read_back(held: Weights, weights: Weights) -> Rung:
    """Rung 2: what was loaded reads back bit for bit."""
    for name, value in weights.items():
        expected = value.astype(held[name].dtype)
        if not same_bits(np.asarray(held[name]), expected):
            place = np.unravel_index(int(np.argmax(held[name] != expected)), value.shape)
            return Rung(
                2,
                "weights",
                1.0,
                0.0,
                f"{name}{[int(i) for i in place]}",
                float(held[name][place]),
                float(expected[place]),
            )
    return Rung(2, "weights", 0.0, 0.0, note=f"{len(weights)} arrays")


def layers(pair: Pair, architecture: Architecture) -> Rung:
    """Rung 3: each kind of layer alone, forward and gradients by input and parameters, in float64."""
    worst = Rung(3, "layers", 0.0, rungs.LAYER)
    for path, model in samples.layers_alone(architecture):
        layer = dict(model.root.layers)["layer"]  # type: ignore[attr-defined]  # `alone` makes a Sequential
        random = isinstance(layer, Dropout)
        weights = samples.scattered_weights(model, pair.seed)
        batch = samples.random_batch(model, BATCH, pair.seed)
        cotangent = np.random.default_rng(pair.seed).standard_normal((BATCH, model.num_classes))
        with pair.found(model, weights) as found, pair.expected(model, weights) as reference:
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
            floor = 1e-3 * top if what.startswith("gradient of") else 0.0
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
    found: Twin, reference: Twin, architecture: Architecture, seed: int, losses: list[float]
) -> Iterator[Rung]:
    """Rung 6: 25 float64 training steps on the same batches, of the depth-scaled model; the reference's losses are left in
    `losses`."""
    worst = Rung(6, "lock-step losses", 0.0, rungs.LOSSES)
    for step in range(rungs.LOCK_STEPS):
        batch = samples.learnable_batch(architecture, BATCH, seed + step)
        losses.append(reference.train(batch))
        rung = compared(6, worst.name, found.train(batch), losses[-1], rungs.LOSSES, f"step {step + 1}")
        worst = worst if rung.error <= worst.error else rung
        if not worst.passed:
            break
    yield worst
    yield table(6, "lock-step weights", found.weights(), reference.weights(), rungs.WEIGHTS)


def precision_sanity(
    pair: Pair, architecture: Architecture, weights: Weights, precision: str, execution: str, losses: list[float]
) -> Rung:
    """Rung 7: 20 steps at the run's own precision and execution; the loss stays in a band around the reference's."""
    name = f"precision {precision}" + ("" if execution == "default" else f", {execution}")
    band = rungs.PRECISION_BANDS[precision]
    problem = pair.info.refusal(precision, execution)
    if problem:
        return Rung(7, name, 0.0, band, note=f"not offered, so not compared: {problem}")
    if not losses:  # no float64 in the framework: the reference climbs alone
        with pair.expected(architecture, weights) as reference:
            batches = (
                samples.learnable_batch(architecture, BATCH, pair.seed + step) for step in range(rungs.PRECISION_STEPS)
            )
            losses += [reference.train(batch) for batch in batches]
    worst = Rung(7, name, 0.0, band)
    with pair.found(architecture, weights, precision, execution) as found:
        for step, expected in enumerate(losses[: rungs.PRECISION_STEPS]):
            loss = found.train(samples.learnable_batch(architecture, BATCH, pair.seed + step))
            error = abs(loss - expected) / abs(losses[0]) if math.isfinite(loss) else math.inf
            if not error <= worst.error:
                worst = Rung(7, name, error, band, f"step {step + 1}", loss, expected)
    return worst


def table(number: int, name: str, found: Weights, expected: Weights, tolerance: float) -> Rung:
    """The rung for a table of arrays: the first parameter beyond the tolerance in the tree's order, else the worst."""
    errors = table_errors(found, expected)
    beyond = [key for key in expected if not errors[key] <= tolerance]
    where = beyond[0] if beyond else max(expected, key=lambda key: errors[key], default="")
    if not where:
        return Rung(number, name, 0.0, tolerance)
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
            number, name, math.inf, tolerance, where, note=f"the framework gave {shape}, the reference {b.shape}"
        )
    a = np.asarray(found, np.float64)
    largest = float(np.abs(b).max(initial=0.0))
    error = relative_error(a, b, max(largest, floor) or None)
    place = np.unravel_index(int(np.argmax(np.where(np.isfinite(a), np.abs(a - b), np.inf))), b.shape) if b.size else ()
    return Rung(number, name, error, tolerance, where, float(a[place]), float(b[place]))
