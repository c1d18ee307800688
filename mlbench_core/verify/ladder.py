"""The parity ladder: the order of its rungs, from names and shapes to training, each compared with the NumPy reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from time import perf_counter

from attrs import evolve

from mlbench_core.architecture import Architecture, initial_weights
from mlbench_core.errors import MlbenchError, PluginError
from mlbench_core.verify import checks, rungs, samples
from mlbench_core.verify.rungs import ParityResult, Rung, stopped_at
from mlbench_core.verify.subject import Subject

Begin = Callable[[int, str], None]
"""Told the number and the name of each rung before it is prepared."""


def parity_of(
    subject: Subject,
    model: str,
    architecture: Architecture,
    runs: tuple[tuple[str, str], ...],
    begin: Begin = lambda _number, _name: None,
) -> ParityResult:
    """The rungs up to the first that does not hold, of a model of that name.

    A rung that cannot be checked (the framework has no float64, or lacks a hook) has the error nan and a note, and the next one
    is tried. Where the ladder itself cannot go on, the result has an error that names the rung.

    runs: the (precision, execution) pairs of rung 7. begin: see `Begin`.

    A hand-written native build is compared as a whole: rung 3 has no layers of its to take apart, and it knows no depth-scaled
    variant. One whose declared parameters are not the architecture's cannot be compared: rung 1 then has the error nan.
    """
    start = perf_counter()
    found: list[Rung] = []
    at = (1, "structure")

    def follow(number: int, name: str) -> None:
        nonlocal at
        at = (number, name)
        begin(number, name)

    problem = ""
    try:
        for rung in _ladder(subject, architecture, runs, follow):
            found.append(rung)
            if not rung.passed and not rung.absent:
                break
    except PluginError as error:  # the plugin itself saw that it had built something else
        found.append(Rung(number=at[0], name=at[1], error=math.inf, tolerance=0.0, note=str(error)))
    except MlbenchError as error:
        problem = stopped_at(at, str(error))
    return ParityResult(
        framework=subject.framework.name,
        model=model,
        device=subject.device,
        digest=architecture.digest,
        framework_version=subject.info.version,
        rungs=tuple(_unmapped(rung) if subject.hand_written and rung.number == 1 else rung for rung in found),
        seconds=perf_counter() - start,
        error=problem,
    )


def _unmapped(rung: Rung) -> Rung:
    note = f"the native build cannot be compared with the architecture: {rung.note}"
    return rung if rung.passed else evolve(rung, error=math.nan, note=note)


def _ladder(
    subject: Subject, architecture: Architecture, runs: tuple[tuple[str, str], ...], begin: Begin
) -> Iterator[Rung]:
    begin(1, "structure")
    native = subject.built_natively(architecture, runs)
    if not native:
        architecture = samples.affordable(architecture)
    weights = initial_weights(architecture, subject.seed)
    double, differentiable = "fp64" in subject.info.precisions, "gradients" in subject.framework.hooks
    if not double or not differentiable:
        lacks = "has no hook gradients" if double else "offers no fp64 on this device"
        note = f"{subject.info.name} {lacks}"
        yield Rung(number=3, name="layers", error=math.nan, tolerance=rungs.LAYER, note=note)
    precision = "fp64" if double else subject.info.precisions[0]
    with subject.found(architecture, weights, precision) as found:
        held = found.weights()
    yield checks.structure(held, architecture)
    begin(2, "weights")
    yield checks.read_back(held, weights)
    if double and differentiable and not native:
        begin(3, "layers")
        yield checks.layers(subject, architecture)
    begin(4, "forward")
    scattered = samples.scattered_weights(architecture, subject.seed)
    batch = samples.random_batch(architecture, subject.batch, subject.seed)
    with subject.expected(architecture, scattered) as reference:
        logits = reference.infer(batch)
    for name, tolerance in (("fp64", rungs.FORWARD), ("fp32", rungs.FORWARD_FP32)):
        if name in subject.info.precisions:
            with subject.found(architecture, scattered, name) as found:
                yield checks.compared(4, f"forward, {name}", found.infer(batch), logits, tolerance)
    still = architecture.without_dropout()
    if double and differentiable:
        begin(5, "gradients")
        with subject.found(still, weights) as found, subject.expected(still, weights) as reference:
            yield checks.gradients(found, reference, samples.learnable_batch(still, subject.batch, subject.seed))
    begin(6, "lock-step")
    still = still if native else samples.depth_scaled(still)
    # A learning rate that float32 can hold would hide a framework that keeps it in float32; a tenth more cannot be held.
    rule = still.optimizer
    still = evolve(still, optimizer=evolve(rule, learning_rate=1.1 * rule.learning_rate))
    weights = initial_weights(still, subject.seed)
    losses: list[float] = []
    if double:
        with subject.found(still, weights) as found, subject.expected(still, weights) as reference:
            yield from checks.lock_step(subject, found, reference, still, losses)
    for precision, execution in runs:
        begin(7, f"precision {precision}")
        yield checks.precision_sanity(subject, still, weights, precision, execution, losses)
