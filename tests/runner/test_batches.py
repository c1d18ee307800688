"""`batch_sizes: auto`: frameworks whose largest batch is known, searched with a made probe and in real processes."""

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from mlbench_core import Results, Suite
from mlbench_core.config import Config
from mlbench_core.errors import ConfigError, ExecutorError
from mlbench_core.executor import Outcome, Setting
from mlbench_core.record import LargestBatch, Measured, MemoryReading, Record
from mlbench_core.registry import Registry
from mlbench_core.runner.batches import (
    FIRST,
    RESOLUTION,
    Found,
    by_arm,
    largest,
    missing,
    room_of,
    with_batches,
)
from mlbench_core.runner.journal import NAME
from mlbench_core.runner.journal_reader import read
from mlbench_core.testing import fakes
from mlbench_core.testing.fakes import Behaviour
from mlbench_core.trial import AUTO, Trial

SAMPLES = 1437
"""Of the training data of digits."""


def arm(framework: str = "fake", device: str = "cuda:0", **changes: Any) -> Trial:
    plain: dict[str, Any] = {
        "framework": framework, "model": "mlp", "dataset": "digits", "device": device, "batch_size": AUTO, "precision": "fp32",
        "execution": "eager", "task": "train", "block": 0, "num_epochs": 0, "seed": 0, "threads": 1,
    }  # fmt: skip
    return Trial(**(plain | changes))


def planted(limit: int, status: Any = "out-of-memory", taken: Callable[[int], int] = int) -> Any:
    """A probe of an arm that trains with `limit` samples at most, and the sizes that it was asked for."""
    asked: list[int] = []

    def probe(samples: int) -> Record:
        asked.append(samples)
        trial = arm(batch_size=samples)
        if samples > limit:
            return Record(trial=trial, status=status, reason=f"{samples} are too many")
        memory = [MemoryReading("host_peak", taken(samples))]
        return Record(trial=trial, status="ok", measured=Measured(memory=memory))

    return probe, asked


def plenty(_record: Record) -> float:
    return math.inf


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 63, 64, 65, 100, 500, 511, 512, 513, 1000, 12_345])
def test_what_is_found_is_what_was_planted_to_an_eighth(limit: int) -> None:
    probe, asked = planted(limit)
    found = largest(arm(), probe, 10**6, plenty)
    assert found.size is not None
    assert found.failed is not None
    assert found.size <= limit < found.failed
    assert found.failed - found.size <= max(1, found.size / RESOLUTION)
    assert found.status == "out-of-memory"
    assert str(found) == f"{found.size} fits, {found.failed} does not: {found.failed} are too many"
    assert len(asked) == len(set(asked))
    assert len(asked) <= math.ceil(abs(math.log2(limit / FIRST))) + 5
    if limit >= 64:
        assert found.size % 8 == 0


@pytest.mark.parametrize("samples", [1, 7, 8, 1437])
def test_no_batch_is_larger_than_the_data_set(samples: int) -> None:
    probe, asked = planted(10**9)
    found = largest(arm(), probe, samples, plenty)
    assert (found.size, found.failed, found.status) == (samples, None, "ok")
    assert str(found) == f"{samples} fits, and no more was tried: it is as large as the data set"
    assert max(asked) == samples


def test_several_devices_get_equal_shares() -> None:
    probe, asked = planted(100)
    found = largest(arm(device="cuda:0-2"), probe, 1000, plenty)
    assert all(samples % 3 == 0 for samples in asked)
    assert asked[0] == 3 * FIRST
    assert found.size == 96
    assert largest(arm(device="cuda:0-2"), probe, 2, plenty).size is None


def test_an_arm_that_fits_nothing_says_why() -> None:
    probe, asked = planted(0)
    found = largest(arm(), probe, 1000, plenty)
    assert (found.size, found.failed, asked) == (None, 1, [8, 4, 2, 1])
    assert str(found) == "none was found: 1 are too many"


@pytest.mark.parametrize("status", ["unsupported", "failed", "diverged"])
def test_what_has_nothing_to_do_with_the_size_is_asked_once(status: str) -> None:
    probe, asked = planted(0, status)
    found = largest(arm(), probe, 1000, plenty)
    assert (found.size, found.status, asked) == (None, status, [FIRST])


def test_a_size_that_fails_in_another_way_bounds_the_search_too() -> None:
    """Such as an index of 32 bits that a kernel takes for granted."""
    probe, _ = planted(200, "failed")
    found = largest(arm(), probe, 1000, plenty)
    assert (found.size, found.failed, found.status) == (192, 208, "failed")


def test_on_the_cpu_nothing_is_tried_for_which_there_might_be_no_room() -> None:
    """A process of 1,000 bytes and 10 per sample, which may take 3,000: with 64 it took 1,640, and might take twice that."""
    probe, asked = planted(10**9, taken=lambda samples: 1000 + 10 * samples)
    found = largest(arm(device="cpu"), probe, 10**6, lambda _record: 3000.0)
    assert (found.size, found.failed, asked) == (64, None, [8, 16, 32, 64])
    assert "128 might take more of the host's memory" in found.reason
    both, asked = planted(10**9, taken=lambda samples: 1000 + 5 * samples)  # each of two processes has half the samples
    assert largest(arm(device="cpu*2"), both, 10**6, lambda _record: 5000.0).size == 64
    assert asked == [16, 32, 64]  # both took 2,640, and might take 5,280
    on_gpu, _ = planted(500, taken=lambda samples: 1000 + 10 * samples)
    assert largest(arm(), on_gpu, 10**6, lambda _record: 0.0).size == 480


def test_on_a_cpu_that_tells_nothing_of_memory_the_first_size_is_the_last() -> None:
    def probe(samples: int) -> Record:
        return Record(trial=arm(batch_size=samples), status="ok")

    found = largest(arm(device="cpu"), probe, 1000, plenty)
    assert (found.size, found.reason) == (FIRST, "this system does not say how much memory a process takes")


def test_the_room_on_the_cpu_is_half_of_what_is_available_shared_by_the_arms() -> None:
    assert room_of({"memory_available_bytes": 800}, 2) == 200
    assert room_of({"memory_available_bytes": 800, "cgroup_memory_max": "max"}, 1) == 400
    assert room_of({"memory_available_bytes": 800, "cgroup_memory_max": "100"}, 1) == 50
    assert room_of({}, 1) == 0


def test_arms_are_compared_at_the_largest_that_fits_in_all() -> None:
    one, two, other = arm("one"), arm("two"), arm("one", precision="bf16")
    trials = [one, evolve(one, block=1), evolve(one, task="infer", batch_size=1), two, other]
    assert list(missing(trials, []).values()) == [[one, two], [other]]
    found = [Found(one, LargestBatch(size=512)), Found(two, LargestBatch(size=384))]
    assert list(missing(trials, found).values()) == [[other]]
    assert [trial.batch_size for trial in with_batches(trials, found[:1])] == [AUTO, AUTO, 1, AUTO, AUTO]
    assert [trial.batch_size for trial in with_batches(trials, found)] == [384, 384, 1, 384, AUTO]
    found.append(Found(other, LargestBatch(size=None, status="unsupported")))
    assert [trial.batch_size for trial in with_batches(trials, found)] == [384, 384, 1, 384, 1]
    sizes = {(key.framework, key.precision, key.batch_size): each.size for key, each in by_arm(trials, found).items()}
    assert sizes == {("one", "fp32", 384): 512, ("two", "fp32", 384): 384, ("one", "bf16", 1): None}


def test_an_arm_that_fits_nothing_does_not_hold_the_others_back() -> None:
    one, two = arm("one"), arm("two")
    found = [Found(one, LargestBatch(size=64)), Found(two, LargestBatch(size=None))]
    assert {trial.batch_size for trial in with_batches([one, two], found)} == {64}


def test_a_size_that_is_asked_for_besides_runs_once() -> None:
    trials = [arm(batch_size=64), arm()]
    assert with_batches(trials, [Found(arm(), LargestBatch(size=64))]) == [arm(batch_size=64)]


@pytest.mark.parametrize("value", ["auto", [32, "auto"], ["auto", "auto"]])
def test_the_configuration_takes_it_among_sizes(value: Any) -> None:
    config = Config.parse({"batch_sizes": value})
    assert config.batch_sizes == (("auto",) if "auto" in value[:1] or value == "auto" else (32, "auto"))
    assert Config.parse(json.loads(json.dumps(config.to_dict()))) == config


def test_what_is_neither_is_one_line() -> None:
    with pytest.raises(ConfigError, match="^batch_sizes: 'automatic' is not a whole number of at least 1, nor auto$"):
        Config.parse({"batch_sizes": ["automatic"]})


def suite(output: Path, quick: dict[str, float], **keys: Any) -> Suite:
    asked = {
        "frameworks": ["fake"], "models": ["mlp"], "execution": ["eager", "compiled"], "batch_sizes": [32, "auto"],
        "num_epochs": 1, "blocks": 2, "output": str(output), "measure": quick | {"turn_seconds": 0.0},
    }  # fmt: skip
    return Suite(**asked | keys)


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("auto")


@pytest.fixture(scope="module")
def results(folder: Path, told: list[str], quick: dict[str, float]) -> Results:
    """One executable fits 300 samples, the other 100; a step takes a millisecond, which is a speed that a CPU can have."""
    step = 1e-3
    with pytest.MonkeyPatch.context() as patch:
        behaviours = fakes.variables(
            eager=Behaviour(step_s=step, largest_batch=300), compiled=Behaviour(step_s=step, largest_batch=100)
        )
        for name, value in behaviours.items():
            patch.setenv(name, value)
        made = suite(folder, quick)
        made.open(verify=False)
        made.find_batches(told.append)
        return made.run(verify=False)


@pytest.mark.long
def test_a_run_measures_at_the_size_that_it_found(results: Results) -> None:
    assert {record.status for record in results.records} == {"ok"}
    sizes = {(row.execution, row.batch_size, row.block): row.largest_batch for row in results.rows}
    assert sizes == {
        (execution, size, block): largest if size == 96 else None
        for (execution, largest), size, block in itertools.product((("eager", 288), ("compiled", 96)), (32, 96), (0, 1))
    }
    assert {c.group.batch_size for c in results.comparisons if c.group.task == "train"} == {32, 96}
    row = next(row for row in results.rows if row.largest_batch == 288)
    text = next(flag.text for flag in row.flags if flag.name == "largest batch")
    assert text.startswith("288 fits, 320 does not: out of memory on the host during first_step (host_resident ")
    assert "take a smaller batch" not in text


@pytest.mark.long
def test_it_tells_what_it_looks_for_and_what_it_found(results: Results, told: list[str]) -> None:
    assert told[0] == "looking for the largest batch of mlp on cpu in fp32 ..."
    assert [line.partition(" fits")[0] for line in sorted(told[1:])] == [
        "largest batch: fake (compiled): 96",
        "largest batch: fake (eager): 288",
    ]


@pytest.mark.long
def test_a_resumed_run_does_not_look_again(
    results: Results, folder: Path, quick: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if more would fit now; what is left is measured at the size that the rest has."""
    monkeypatch.setenv(*next(iter(fakes.variables(eager=Behaviour(), compiled=Behaviour()).items())))
    journal = folder / NAME
    lines = journal.read_bytes().splitlines(keepends=True)
    whole = read(journal)
    assert whole is not None
    assert sorted(found.largest.size for found in whole.batches if found.largest.size) == [96, 288]
    last = max(place for place, line in enumerate(lines) if b'"batch_size": 96' in line)
    journal.write_bytes(b"".join(lines[:last]))
    before = set((folder / "logs").iterdir())
    again = suite(folder, quick)
    heard: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(Registry, "tell", lambda _registry, hook, **values: heard.append((hook, values)))
    told: list[str] = []
    again.open(verify=False, resume=True)
    again.find_batches(told.append)
    assert told == []
    found = again.run(verify=False)
    assert {record.trial.key for record in found.records} == {record.trial.key for record in results.records}
    assert set((folder / "logs").iterdir()) == before
    assert {row.largest_batch for row in found.rows} == {None, 96, 288}
    kept = read(journal)
    assert kept is not None
    assert kept.batches == whole.batches
    assert Results.load(folder).records == found.records
    (announced,) = (values["trials"] for hook, values in heard if hook == "run_started")
    begun = [values["trial"].key for hook, values in heard if hook == "trial_started"]
    assert sorted(trial.key for trial in announced) == sorted(begun)  # with their sizes, of which the key is made


@pytest.mark.long
def test_the_command_line_takes_it(tmp_path: Path, quick: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from mlbench_core.cli import app

    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick.json").write_text(json.dumps({"measure": quick}))
    monkeypatch.setenv(*next(iter(fakes.variables(eager=Behaviour(step_s=1e-3, largest_batch=20)).items())))
    args = ["run", "--config", "quick.json", "--frameworks", "fake", "--models", "mlp", "--epochs", "1", "--no-verify"]
    dry = CliRunner().invoke(app, [*args, "--batch-sizes", "auto", "--dry-run"])
    assert "fake-mlp-cpu-bsauto-fp32-train-b0" in dry.output
    done = CliRunner().invoke(app, [*args, "--batch-sizes", "auto"])
    assert done.exit_code == 0, done.output
    (row,) = Results.load(tmp_path / "results").rows
    assert (row.batch_size, row.largest_batch) == (20, 20)


def lost(request: Any, setting: Setting) -> Any:
    """An executor that loses whatever node it is given."""
    yield None
    return Outcome(status="node-lost", reason="gone")


def test_a_lost_node_tells_nothing_of_memory(
    tmp_path: Path, quick: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlbench_core.executors.local.run", lost)
    with pytest.raises(ExecutorError, match="looking for the largest batch: .*: node-lost: gone"):
        suite(tmp_path, quick, batch_sizes=["auto"]).run(verify=False)
