"""What is proven is kept only as long as all that took part in it is the same, and a worker's death names its rung."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from mlbench_core.descriptors import ModelDescriptor
from mlbench_core.entry import Entry
from mlbench_core.executor import Outcome, Place, Request, Running, Setting
from mlbench_core.executors.waiting import after
from mlbench_core.runner.verification import Verification, architecture_of, verify
from mlbench_core.serialize import to_json
from mlbench_core.trial import ModelSource
from mlbench_core.verify.rungs import ParityResult, Rung, least_proven

FACTORY = """
from mlbench_core.architecture import Architecture, Dense, Optimizer
from stale_helper import WIDTH

def net(input_shape, num_classes):
    assert input_shape == (WIDTH,), input_shape
    rule = Optimizer(name="sgd", learning_rate=0.1)
    return Architecture(name="net", root=Dense(num_classes), input_shape=input_shape, num_classes=num_classes, optimizer=rule)
"""
FILES = {
    "stale_model.py": FACTORY,
    "stale_helper.py": "WIDTH = 32\n",
    "stale_lowering.py": "def silu(x): return x\n",
    "stale_native.py": "def build(architecture, plan): return None\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in FILES:
        sys.modules.pop(name.removesuffix(".py"), None)


MODEL = ModelDescriptor(
    name="net",
    source=ModelSource(
        "stale_model:net",
        lowerings={"toy": "stale_lowering"},
        native={"toy": "stale_native:build", "other": "no_such:build"},
    ),
    takes="vector",
    description="",
)
WANTED = Verification(
    entries=(Entry("toy", sys.executable),), models=(MODEL,), devices=("cpu",), runs=(("fp32", "default"),), seed=0, threads=1,
    time_limit_s=60,
)  # fmt: skip


class Worker:
    """An executor that counts what it is asked, and says that everything is verified."""

    def __init__(self, says: Callable[[str], dict[str, Any]] | None = None, outcome: Outcome | None = None) -> None:
        self.asked: list[Request] = []
        self.says, self.outcome = says or self.verified, outcome or Outcome(status="ok")

    @staticmethod
    def verified(model: str) -> dict[str, Any]:
        rung = Rung(number=1, name="structure", error=0.0, tolerance=0.0)
        result = ParityResult(
            framework="toy", model=model, device="cpu", digest="", framework_version="1", rungs=(rung,)
        )
        return {"event": "parity", "parity": to_json(result)}

    def __call__(self, request: Request, setting: Setting) -> Running[Outcome]:
        self.asked.append(request)
        for candidate in request.job["candidates"]:
            setting.on_event(self.says(candidate["model"]))
        return self.outcome
        yield

    def verify(self, folder: Path, wanted: Verification = WANTED, fresh: bool = False) -> ParityResult:
        (result,) = verify(wanted, self, folder / "cache", folder, fresh)
        return result


def test_what_was_proven_is_not_proven_again(folder: Path) -> None:
    worker = Worker()
    assert worker.verify(folder).verdict == "verified"
    assert worker.verify(folder).verdict == "verified"
    assert len(worker.asked) == 1
    worker.verify(folder, fresh=True)
    assert len(worker.asked) == 2


@pytest.mark.parametrize("name", ["stale_model.py", "stale_helper.py", "stale_lowering.py", "stale_native.py"])
def test_an_edit_of_anything_that_computes_is_proven_anew(name: str, folder: Path) -> None:
    worker = Worker()
    worker.verify(folder)
    (folder / name).write_text(FILES[name] + "# silu became relu\n")
    worker.verify(folder)
    assert len(worker.asked) == 2
    (folder / name).write_text(FILES[name])
    worker.verify(folder)
    assert len(worker.asked) == 2  # as it was


@pytest.mark.parametrize(
    "module", ["mlbench_toy.plugin", "mlbench_core.reference.layers", "mlbench_core.verify.checks"]
)
def test_so_is_an_edit_of_the_plugin_or_the_core(module: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker()
    worker.verify(folder)
    place = folder / "edited.py"
    from mlbench_core import fingerprint

    original = fingerprint.origin
    source = original(module)
    assert source is not None
    place.write_bytes(source.read_bytes() + b"\n# edited\n")
    monkeypatch.setattr(fingerprint, "origin", lambda name: place if name == module else original(name))
    worker.verify(folder)
    assert len(worker.asked) == 2


@pytest.mark.parametrize(
    "changed", [{"seed": 1}, {"threads": 2}, {"runs": (("fp32", "eager"),)}, {"devices": ("cuda:0",)}], ids=str
)
def test_so_is_another_way_of_running(changed: dict[str, Any], folder: Path) -> None:
    worker = Worker()
    worker.verify(folder)
    worker.verify(folder, evolve(WANTED, **changed))
    assert len(worker.asked) == 2


def test_the_proof_of_an_interpreter_that_tells_nothing_is_not_kept(folder: Path) -> None:
    worker, other = Worker(), evolve(WANTED, entries=(Entry("toy", "/elsewhere/python"),))
    worker.verify(folder)
    for _ in range(2):
        worker.verify(folder, other)
    assert len(worker.asked) == 3
    assert len(list((folder / "cache").iterdir())) == 1


def test_another_interpreter_is_asked_what_computes_there(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    there = tmp_path_factory.mktemp("there")
    for name, text in FILES.items():
        (there / name).write_text(text)
    python = there / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{there}:$PYTHONPATH" exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    worker, other = Worker(), evolve(WANTED, entries=(Entry("toy", str(python)),))
    worker.verify(folder)
    for _ in range(2):
        worker.verify(folder, other)
    assert len(worker.asked) == 2  # what this one has proven, that one has not
    (folder / "stale_lowering.py").write_text("# edited here\n")
    worker.verify(folder, other)
    assert len(worker.asked) == 2
    (there / "stale_lowering.py").write_text("# edited there\n")
    worker.verify(folder, other)
    assert len(worker.asked) == 3


def test_each_variant_is_proven_in_its_own_interpreter(folder: Path) -> None:
    asked: list[str] = []
    worker = Worker()

    def run(request: Request, setting: Setting) -> Running[Outcome]:
        asked.append(f"{setting.python} {setting.log.name}")
        return (yield from worker(request, setting))

    wanted = evolve(WANTED, entries=(Entry("toy", "/old/python", "toy-1"), Entry("toy", sys.executable, "toy-2")))
    for _ in range(2):
        found = verify(wanted, run, folder / "cache", folder)
        assert [(one.framework, one.variant, one.verdict) for one in found] == [
            ("toy", "toy-1", "verified"), ("toy", "toy-2", "verified"),
        ]  # fmt: skip
    old = "/old/python verify-toy-1-cpu.log"
    assert asked == [old, f"{sys.executable} verify-toy-2-cpu.log", old]
    # The same interpreter under another name has proven it.
    (again,) = verify(evolve(WANTED, entries=(Entry("toy", sys.executable),)), run, folder / "cache", folder)
    assert (again.variant, len(asked)) == ("", 3)


def test_a_failure_is_not_kept(folder: Path) -> None:
    def failed(model: str) -> dict[str, Any]:
        event = Worker.verified(model)
        event["parity"]["rungs"][0]["error"] = 1.0
        return event

    worker = Worker(failed)
    for _ in range(2):
        assert worker.verify(folder).verdict == "failed"
    assert len(worker.asked) == 2


def test_a_worker_that_dies_is_an_error_that_names_its_rung(folder: Path) -> None:
    worker = Worker(
        lambda model: {"event": "rung", "model": model, "number": 5, "name": "gradients"},
        Outcome(status="crashed", reason="the worker was killed by SIGSEGV"),
    )
    found = worker.verify(folder)
    assert (found.verdict, found.rungs) == ("unverified", ())
    assert found.why == "rung 5, gradients, could not be checked: the worker was killed by SIGSEGV"
    early = Worker(lambda model: {"event": "phase", "name": "x"}, Outcome(status="crashed", reason="no torch"))
    assert early.verify(folder).why == "nothing could be checked: no torch"


def test_a_model_is_verified_on_the_smallest_input_that_it_takes(folder: Path) -> None:
    assert architecture_of(MODEL).input_shape == (32,)
    (folder / "stale_helper.py").write_text("WIDTH = 256\n")
    for name in ("stale_model", "stale_helper"):
        sys.modules.pop(name)
    assert architecture_of(MODEL).input_shape == (256,)


def test_a_damaged_result_is_found_anew(folder: Path) -> None:
    worker = Worker()
    worker.verify(folder)
    (path,) = (folder / "cache").iterdir()
    for text in ("", "[]", json.dumps({"framework": 1})):
        path.write_text(text)
        assert worker.verify(folder).verdict == "verified"
    assert len(worker.asked) == 4


def test_each_kind_of_machine_has_its_own_proof(folder: Path) -> None:
    """Verified on one, failed on the other: what is judged by is what proves least."""
    places = (Place("node-a", "old"), Place("node-b", "new"))
    worker, asked, told = Worker(), [], []

    def run(request: Request, setting: Setting) -> Running[Outcome]:
        asked.append(setting.place)
        if setting.place == "node-b":
            failed = json.loads(json.dumps(worker.verified("net")))
            failed["parity"]["rungs"][0] |= {"error": 1.0}
            setting.on_event(failed)
            return Outcome(status="ok")
        return (yield from worker(request, setting))

    wanted = evolve(WANTED, places=places)
    for _ in range(2):
        results = verify(wanted, run, folder / "cache", folder, False, told.append)
    assert asked == ["node-a", "node-b", "node-b"]  # what failed is not kept, and what one proved is not the other's
    assert [(result.node, result.verdict) for result in results] == [("old", "verified"), ("new", "failed")]
    assert told == results * 2
    assert [result.where for result in results] == ["cpu on old", "cpu on new"]
    for order in (results, results[::-1]):
        assert {key: one.node for key, one in least_proven(order).items()} == {("toy", "net", "cpu", ""): "new"}


class Watched:
    """An executor whose workers take a moment: `most` is how many were there at once."""

    def __init__(self) -> None:
        self.now, self.most, self.asked = 0, 0, list[str]()

    def __call__(self, request: Request, setting: Setting) -> Running[Outcome]:
        self.now += 1
        self.most = max(self.most, self.now)
        self.asked.append(setting.log.stem.removeprefix("verify-"))
        yield after(0.02)
        setting.on_event(Worker.verified("net"))
        self.now -= 1
        return Outcome(status="ok")


def test_on_gpus_frameworks_are_proven_side_by_side(folder: Path) -> None:
    entries = tuple(Entry("toy", sys.executable, label) for label in ("a", "b"))
    for devices, most, asked in (
        (("cpu", "cpu*2"), 1, ["a-cpu", "a-cpux2", "b-cpu", "b-cpux2"]),
        (("cuda:0", "cuda:1"), 2, ["a-cuda0", "b-cuda0", "a-cuda1", "b-cuda1"]),
        (("cpu", "cuda:0"), 3, ["a-cpu", "a-cuda0", "b-cuda0", "b-cpu"]),
    ):
        watched = Watched()
        wanted = evolve(WANTED, entries=entries, devices=devices)
        results = verify(wanted, watched, folder / "cache", folder, fresh=True)
        assert (watched.most, watched.asked) == (most, asked)
        assert len(results) == 4
