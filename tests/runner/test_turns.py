"""Turns: whose they are, that nothing else is timed with them, and that nothing of a worker is left."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlbench_core import Suite
from mlbench_core.data import prepare
from mlbench_core.executor import Outcome, Request, Running, Setting, record_of, trial_request
from mlbench_core.executors import local
from mlbench_core.executors.waiting import after
from mlbench_core.models import register_models
from mlbench_core.registry import load_registry
from mlbench_core.runner.turns import run_alone, run_at_once, run_in_turns
from mlbench_core.serialize import to_json
from mlbench_core.thresholds import Measure
from mlbench_core.trial import Job, Trial
from mlbench_core.verify.rungs import Candidate, VerifyJob

QUICK = Measure(
    warmup_seconds=0, steady_limit=0, value_seconds=0.01, min_values=5, min_seconds=0.2, turn_seconds=0.05, queries=10
)


def counted(name: str, turns: int, told: list[str]) -> Running[str]:
    try:
        for turn in range(turns):
            told.append(f"{name}{turn}")
            yield
        return name
    finally:
        told.append(f"{name} ends")


def test_everybody_has_a_turn_before_anybody_has_the_next() -> None:
    told: list[str] = []
    ended = [
        result for _, result in run_in_turns([counted("a", 3, told), counted("b", 1, told), counted("c", 2, told)])
    ]
    assert told == ["a0", "b0", "c0", "a1", "b ends", "c1", "a2", "c ends", "a ends"]
    assert ended == ["b", "c", "a"]


def test_alone_plays_to_the_end() -> None:
    assert run_alone(counted("a", 5, [])) == "a"


def test_at_once_one_goes_on_while_another_waits() -> None:
    """In turns this would never end: what the first waits for, the second does."""
    met: Future[None] = Future()

    def first() -> Running[str]:
        yield met
        return "first"

    def second() -> Running[str]:
        yield
        met.set_result(None)
        yield after(0.01)
        return "second"

    assert [result for _, result in run_at_once([first(), second()])] == ["first", "second"]
    assert list(run_at_once([])) == []


def test_at_once_when_one_raises_the_others_are_closed() -> None:
    def broken() -> Running[str]:
        yield after(0.01)
        raise KeyboardInterrupt

    told: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        list(run_at_once([counted("a", 10**9, told), broken()]))
    assert told[-1] == "a ends"


def test_real_verifications_go_on_side_by_side(tmp_path: Path) -> None:
    (model,) = (each for each in register_models() if each.name == "mlp")
    candidate = Candidate(model="mlp", source=model.source, input_shape=(32,), num_classes=10)
    job = VerifyJob(
        framework="toy", device="cpu", candidates=(candidate,), runs=(("fp32", "default"),), seed=0, threads=1
    )
    told: list[str] = []

    def verification(name: str) -> Running[Outcome]:
        setting = Setting(
            python=sys.executable,
            time_limit_s=60,
            log=tmp_path / name,
            on_event=lambda event: told.append(f"{name} {event['event']}"),
        )
        return local.run(Request(kind="verify", job=to_json(job), device="cpu", threads=1), setting)

    both = [verification("a"), verification("b")]
    assert all(isinstance(next(one), Future) for one in both)
    assert not {"a done", "b done"} & set(told)  # both are at work before either has ended
    assert [outcome.status for _, outcome in run_at_once(both)] == ["ok", "ok"]
    assert {"a done", "b done"} <= set(told)


def test_when_one_raises_the_others_are_closed() -> None:
    def broken() -> Generator[None, None, str]:
        yield
        raise KeyboardInterrupt

    told: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        list(run_in_turns([counted("a", 9, told), broken(), counted("c", 9, told)]))
    assert told[-2:] == ["c ends", "a ends"]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    registry = load_registry(Path())
    model = registry.models["mlp"]
    data = prepare(registry.datasets["digits"], model, argument="", data_dir=None, seed=0, cache=tmp_path)
    trial = Trial(
        framework="numpy",
        model="mlp",
        dataset="digits",
        device="cpu",
        batch_size=32,
        precision="fp32",
        execution="default",
        task="train",
        block=1,
        num_epochs=0,
        seed=0,
        threads=1,
        measure=QUICK,
    )
    return Job(trial=trial, model=model.source, data=str(data), takes_turns=True)


@pytest.mark.long
def test_waiting_does_not_count_against_the_time_limit(job: Job, tmp_path: Path) -> None:
    limit_s = 5.0  # starting and measuring take 1 to 2 seconds
    play = local.run(trial_request(job), Setting(python=sys.executable, time_limit_s=limit_s, log=tmp_path / "log"))
    next(play)
    time.sleep(1.1 * limit_s)
    record = record_of(job, run_alone(play), "")
    assert (record.status, record.reason) == ("ok", "")
    assert record.measured.phases["waiting"] > limit_s
    # Nobody looks at a worker that waits.
    assert len([s for s in record.observed.timeline.seconds if s > 2 * limit_s / 3]) < 20


def test_closing_ends_a_waiting_worker(job: Job, tmp_path: Path) -> None:
    before = set(psutil.Process().children())
    play = local.run(trial_request(job), Setting(python=sys.executable, time_limit_s=60, log=tmp_path / "log"))
    next(play)
    assert len(set(psutil.Process().children()) - before) == 1
    start = time.monotonic()
    play.close()
    assert set(psutil.Process().children()) == before
    assert time.monotonic() - start < 5


def test_a_worker_killed_while_it_waits_is_a_record(job: Job, tmp_path: Path) -> None:
    before = set(psutil.Process().children())
    play = local.run(trial_request(job), Setting(python=sys.executable, time_limit_s=60, log=tmp_path / "log"))
    next(play)
    (worker,) = set(psutil.Process().children()) - before
    worker.kill()
    record = run_alone(play)
    assert record.status == "crashed"
    assert "killed by SIGKILL during measure" in record.reason


def test_a_worker_whose_parent_is_gone_leaves(job: Job, tmp_path: Path) -> None:
    payload = json.dumps(to_json(trial_request(job)))
    told, told_by = os.pipe()
    command = [sys.executable, "-m", "mlbench_core.worker", str(told_by)]
    with (
        os.fdopen(told) as events,
        subprocess.Popen(command, stdin=subprocess.PIPE, text=True, pass_fds=(told_by,)) as worker,
    ):
        os.close(told_by)
        assert worker.stdin is not None
        worker.stdin.write(payload + "\n")
        worker.stdin.flush()
        assert any(json.loads(line)["event"] == "turn" for line in events)
        worker.stdin.close()
        assert worker.wait(timeout=10) == 1


@pytest.mark.long
def test_the_arms_of_a_cell_are_measured_in_turns_and_cells_one_after_the_other(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []

    def follow(trial: Trial, event: dict[str, Any]) -> None:
        told.append((f"{trial.framework} {trial.task}", event.get("name", event["event"])))

    suite = Suite(
        frameworks=["numpy", "toy"],
        models=["mlp"],
        num_epochs=1,
        output=str(tmp_path / "out"),
        measure=QUICK,
        threads=1,
    )
    results = suite.run(on_event=follow, verify=False)
    assert [record.status for record in results.records] == ["ok"] * 4
    assert all(record.measured.phases["waiting"] > 0 for record in results.records)
    cells = [suite.trials[:2], suite.trials[2:]]
    assert [{trial.task for trial in cell} for cell in cells] in ([{"train"}, {"infer"}], [{"infer"}, {"train"}])
    for cell in cells:
        first, second = (f"{trial.framework} {trial.task}" for trial in cell)
        # The second sets itself up and measures before the first goes on to anything else.
        assert told.index((first, "measure")) < told.index((second, "setup")) < told.index((second, "measure"))
        after = "step_latency" if cell[0].task == "train" else "latency"
        assert told.index((second, "measure")) < told.index((first, after))
    last_of_first = max(told.index((f"{trial.framework} {trial.task}", "record")) for trial in cells[0])
    assert last_of_first < min(told.index((f"{trial.framework} {trial.task}", "start")) for trial in cells[1])
