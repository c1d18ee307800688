"""Traps that other benchmarks fell into, each with the test that would have shown it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlbench_core.data import prepare
from mlbench_core.hookspecs import hookimpl
from mlbench_core.registry import load_registry
from mlbench_core.testing import fakes
from mlbench_core.thresholds import Measure
from mlbench_core.trial import Job, Trial
from mlbench_core.worker import memory, tasks
from mlbench_core.worker.trampoline import trampoline


def test_nothing_is_placed_or_read_while_measuring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One suite feeds NumPy arrays to one framework in every timed call, and times the copy back in another alone."""
    phases, calls = [""], []

    def watched(name: str) -> Any:
        def call(session: Any, **given: Any) -> Any:
            calls.append((phases[-1], name))
            return original(session, *given.values())

        original = getattr(fakes, name)
        argument = "batch" if name == "place_batch" else "value"
        namespace: dict[str, Any] = {"call": call}
        exec(f"def {name}(session, {argument}):\n    return call(session, {argument}={argument})", namespace)
        return hookimpl(namespace[name])

    for name in ("place_batch", "to_numpy"):
        monkeypatch.setattr(fakes, name, watched(name))
    registry = load_registry(Path())
    model, digits = registry.models["mlp"], registry.datasets["digits"]
    data = prepare(digits, model, argument="", data_dir=None, seed=0, cache=tmp_path)
    measure = Measure(warmup_steps=1, warmup_seconds=0, value_seconds=1e-3, min_values=3, min_seconds=0, steady_limit=0)
    trial = Trial(
        framework="fake",
        model="mlp",
        dataset="digits",
        device="cpu",
        batch_size=32,
        precision="fp32",
        execution="default",
        task="train",
        block=0,
        num_epochs=1,
        seed=0,
        threads=1,
        measure=measure,
    )

    def emit(event: str, **facts: Any) -> None:
        if event == "phase":
            phases.append(facts["name"])

    trampoline(tasks.run(Job(trial=trial, model=model.source, data=str(data)), emit, lambda: None))
    assert ("train", "place_batch") in calls  # the watching works
    timed = {"first_step", "warmup", "measure", "step_latency"}
    assert [call for call in calls if call[0] in timed] == []
    # After the last value one result is read back, to see whether synchronize waits; again if that was slow, as on a busy CPU.
    assert {call for call in calls if call[0] == "read_back"} == {("read_back", "to_numpy")}


def test_the_peak_is_not_the_resident_size_at_the_end() -> None:
    """One suite reports what is resident at the end as the peak."""
    memory.reset_host_peak()
    before = memory.resident()
    block = np.ones(200_000_000, np.uint8)
    del block
    (peak,), after = memory.host_peak(), memory.resident()
    assert before is not None
    assert after is not None
    assert peak.bytes > before + 190_000_000
    assert after < before + 100_000_000


def test_a_child_does_not_inherit_its_parents_peak() -> None:
    """`ru_maxrss` of a child starts at its parent's: 13 MiB were reported as 613."""
    block = np.ones(400_000_000, np.uint8)
    code = "from mlbench_core.worker.memory import host_peak; print(host_peak()[0].bytes)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(block) > int(done.stdout) > 1_000_000
