"""Verifies models before they are compared: a worker per framework goes up the ladder, and what it found is remembered."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from mlbench_core.architecture import Architecture
from mlbench_core.devices import kind_of
from mlbench_core.entry import Entry
from mlbench_core.errors import MlbenchError
from mlbench_core.executor import Place, Request, Run, Running, Setting
from mlbench_core.files import replace_text
from mlbench_core.hookspecs import ModelDescriptor
from mlbench_core.plugins import build_architecture
from mlbench_core.runner.computing import computing
from mlbench_core.runner.together import together
from mlbench_core.runner.turns import run_at_once
from mlbench_core.serialize import from_json, to_json
from mlbench_core.verify.rungs import Candidate, ParityResult, VerifyJob, stopped_at

SHAPES = {"vector": (32, 1024), "tokens": (16, 512)}
"""The axis of the input that a model is verified on first, and how far it is doubled while the model takes no such input: a
tree's arithmetic does not depend on how large its input is, and float64 on a CPU is slow. Images begin as large as the
descriptor's `verified_image`."""
LARGEST_IMAGE = 256
CLASSES = 10
FORMAT = 4


@frozen(kw_only=True)
class Verification:
    """What to verify: models in frameworks on devices, at the precisions and executions of a run.

    entries: the frameworks, each in the interpreter of its workers: what one of them proves, another does not. places: one of
    each kind of machine: what one of them proves, another does not. nodes: the kinds of node that the places are of, as the
    configuration names them.
    folder: where workers start. faults: by its name, why a model that was asked for cannot be used at all.
    """

    entries: tuple[Entry, ...]
    models: tuple[ModelDescriptor, ...]
    devices: tuple[str, ...]
    runs: tuple[tuple[str, str], ...]
    seed: int
    threads: int
    time_limit_s: float
    tuned: bool = False
    folder: Path = Path()
    faults: dict[str, str] = field(factory=dict)
    places: tuple[Place, ...] = (Place(),)
    nodes: tuple[str, ...] = ()


def verify(
    wanted: Verification,
    run: Run,
    cache: Path,
    logs: Path,
    fresh: bool = False,
    on_result: Callable[[ParityResult], None] = lambda _result: None,
) -> list[ParityResult]:
    """The parity of every model in every framework on every device; one process per place, framework and device. On GPUs the
    frameworks go up the ladder side by side, as far as the executor lets them: nothing is timed there.

    run: the executor that does it, the same that measures. on_result is called with each result as it is known. A result that
    the cache holds is not found anew unless `fresh`: its key covers the content of all that computes, see
    docs/reference/caches.md. In an interpreter whose files cannot be read from here everything is found anew.
    """
    results: list[dict[str, ParityResult]] = []
    built = {model.name: _built(model) for model in wanted.models}
    computed = {one: computing(one.python, one.name, wanted.models, wanted.folder) for one in wanted.entries}
    lanes: dict[tuple[str, str], list[Running[None]]] = {}
    for place, entry, device in itertools.product(wanted.places, wanted.entries, wanted.devices):
        proof = _Proof(wanted=wanted, run=run, place=place, entry=entry, device=device, logs=logs, on_result=on_result)
        found: dict[str, ParityResult] = {}
        missing: dict[str, _Missing] = {}
        elsewhere = place.kind and entry.python != sys.executable
        computes = {} if elsewhere else computed[entry]
        for model in wanted.models:
            made = built[model.name]
            if isinstance(made, str):
                found[model.name] = proof.told(_unknown(entry, model.name, device, "", made))
                continue
            path = _path(proof, cache, model.name, made, computes.get(model.name))
            known = None if fresh or path is None else _read(path)
            if known is None:
                missing[model.name] = _Missing(model, made, path)
            else:
                found[model.name] = proof.told(known)
        if missing:
            lanes.setdefault(proof.lane, []).append(_verify_models(proof, missing, found))
        for name, why in wanted.faults.items():
            found[name] = proof.told(_unknown(entry, name, device, "", why))
        results.append(found)
    for _ in run_at_once([_one_after_another(lane) for lane in lanes.values()]):
        pass
    return [found[name] for found in results for name in (*built, *wanted.faults)]


def _one_after_another(several: Iterable[Running[None]]) -> Running[None]:
    for one in several:
        yield from one


@frozen(kw_only=True)
class _Proof:
    """What one worker verifies: one framework on one device in one place."""

    wanted: Verification
    run: Run
    place: Place
    entry: Entry
    device: str
    logs: Path
    on_result: Callable[[ParityResult], None]

    @property
    def lane(self) -> tuple[str, str]:
        """The same for proofs that are found one after another: all on CPUs, since each has them to itself; and those of one
        framework on GPUs, so that no more of them are there at once than there are frameworks."""
        return self.place.name, "" if kind_of(self.device) == "cpu" else self.entry.shown

    def told(self, result: ParityResult) -> ParityResult:
        """The result as this proof's, which is told of."""
        result = evolve(result, variant=self.entry.label, node=self.place.kind, nodes=self.wanted.nodes)
        self.on_result(result)
        return result


@frozen
class _Missing:
    """A model to verify, what it is verified as, and where its result is kept, if it is."""

    model: ModelDescriptor
    architecture: Architecture
    path: Path | None


def architecture_of(model: ModelDescriptor) -> Architecture:
    """The architecture that a model is verified as: of the smallest input that it takes.

    Raises an MlbenchError if its factory makes none: what it said of the first input that was tried.
    """
    first: MlbenchError | None = None
    for shape in shapes_of(model):
        try:
            return build_architecture(model.source, shape, CLASSES)
        except MlbenchError as error:
            first = first or error
    assert first is not None
    raise first


def shapes_of(model: ModelDescriptor) -> list[tuple[int, ...]]:
    """The input shapes that a model is tried with, each twice as large as the one before."""
    if model.takes == "image":
        smallest = max(model.min_image, model.verified_image)
        return [(side, side, 1) for side in _doubled(smallest, max(LARGEST_IMAGE, smallest))]
    return [(size,) for size in _doubled(*SHAPES[model.takes])]


def _doubled(first: int, last: int) -> list[int]:
    found = [first]
    while 2 * found[-1] <= last:
        found.append(2 * found[-1])
    return found


def _built(model: ModelDescriptor) -> Architecture | str:
    """Its architecture, or why there is none: that costs this model's proof and trials, and nobody else's."""
    try:
        return architecture_of(model)
    except MlbenchError as error:
        return str(error)


def _unknown(entry: Entry, model: str, device: str, digest: str, why: str) -> ParityResult:
    """The result for a model that could not be verified."""
    return ParityResult(
        framework=entry.name, variant=entry.label, model=model, device=device, digest=digest, framework_version="", error=why
    )  # fmt: skip


def _verify_models(proof: _Proof, missing: Mapping[str, _Missing], found: dict[str, ParityResult]) -> Running[None]:
    """Has one worker verify the models that are missing, and adds what it found."""
    wanted, entry, device = proof.wanted, proof.entry, proof.device
    job = VerifyJob(
        framework=entry.name,
        device=device,
        candidates=tuple(
            Candidate(
                model=name, source=one.model.source, input_shape=one.architecture.input_shape, num_classes=CLASSES
            )
            for name, one in missing.items()
        ),
        runs=wanted.runs,
        seed=wanted.seed,
        threads=wanted.threads,
        tuned=wanted.tuned,
    )
    begun: dict[str, tuple[int, str]] = {}

    def follow(event: dict[str, Any]) -> None:
        if event["event"] == "rung":
            begun[event["model"]] = (event["number"], event["name"])
        elif event["event"] == "parity":
            result = proof.told(from_json(event["parity"], ParityResult))
            found[result.model] = result
            path = missing[result.model].path
            if (
                path is not None and result.verdict != "failed" and not result.error
            ):  # what failed is about to be mended
                with contextlib.suppress(OSError):  # a cache that cannot be written: it is proven anew
                    replace_text(path, json.dumps(to_json(result)))

    names = ("verify", entry.shown, device.replace(":", "").replace("*", "x"), proof.place.name)
    setting = Setting(
        python=entry.python,
        time_limit_s=wanted.time_limit_s,
        log=proof.logs / f"{'-'.join(name for name in names if name)}.log",
        on_event=follow,
        folder=wanted.folder,
    )
    request = Request(kind="verify", job=to_json(job), device=device, threads=wanted.threads)
    outcome = yield from together(proof.run, request, setting, proof.place)
    for name, one in missing.items():
        if name not in found:
            why = stopped_at(begun.get(name), outcome.reason or "the worker said nothing of this model")
            found[name] = proof.told(_unknown(entry, name, device, one.architecture.digest, why))


def _path(proof: _Proof, cache: Path, model: str, architecture: Architecture, computes: str | None) -> Path | None:
    """Where the result is kept: under a name that changes with whatever takes part in it. computes: as `computing` says; None:
    nobody knows, so it cannot be kept."""
    if computes is None:
        return None
    wanted, device = proof.wanted, proof.device
    facts = [
        FORMAT,
        model,
        architecture.digest,
        computes,
        proof.entry.python,
        wanted.runs,
        wanted.seed,
        wanted.threads,
        wanted.tuned,
        device if kind_of(device) == "cpu" else f"gpu {os.environ.get('CUDA_VISIBLE_DEVICES', '')} {device}",
        *filter(None, [proof.place.kind, len(proof.place.others)]),
    ]
    return cache / f"{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:20]}.json"


def _read(path: Path) -> ParityResult | None:
    try:
        return from_json(json.loads(path.read_text(encoding="utf-8")), ParityResult)
    except Exception:  # absent, cut off or of an older form: find it anew
        return None
