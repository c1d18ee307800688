"""Turns: whose they are, that nothing else is timed with them, and that nothing of a worker is left."""

import json
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psutil
import pytest
from attrs import evolve

from mlbench_core import Suite
from mlbench_core.data import prepare
from mlbench_core.plugins import load_registry
from mlbench_core.runner.local import ExecutorSetting, execute
from mlbench_core.runner.turns import Play, alone, in_turns
from mlbench_core.thresholds import Measure
from mlbench_core.trial import Job, Trial, to_json

QUICK = Measure(
    warmup_seconds=0, steady_limit=0, value_seconds=0.01, min_values=5, min_seconds=0.2, turn_seconds=0.05, queries=10
)


def counted(name: str, turns: int, told: list[str]) -> Play[str]:
    try:
        for turn in range(turns):
            told.append(f"{name}{turn}")
            yield
        return name
    finally:
        told.append(f"{name} ends")


def test_everybody_has_a_turn_before_anybody_has_the_next() -> None:
    told: list[str] = []
    ended = [result for _, result in in_turns([counted("a", 3, told), counted("b", 1, told), counted("c", 2, told)])]
    assert told == ["a0", "b0", "c0", "a1", "b ends", "c1", "a2", "c ends", "a ends"]
    assert ended == ["b", "c", "a"]


def test_alone_plays_to_the_end() -> None:
    assert alone(counted("a", 5, [])) == "a"


def test_when_one_raises_the_others_are_closed() -> None:
    def broken() -> Generator[None, None, str]:
        yield
        raise KeyboardInterrupt

    told: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        list(in_turns([counted("a", 9, told), broken(), counted("c", 9, told)]))
    assert told[-2:] == ["c ends", "a ends"]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    registry = load_registry(Path())
    model = registry.models["mlp"]
    data = prepare(registry.datasets["digits"], model, argument="", data_dir=None, seed=0, cache=tmp_path)
    trial = Trial("numpy", "mlp", "digits", "cpu", 32, "fp32", "default", "train", 1, 0, 0, 1, QUICK)
    return Job(trial, model.source, str(data), "", takes_turns=True)


def test_waiting_does_not_count_against_the_time_limit(job: Job, tmp_path: Path) -> None:
    limit_s = 5.0  # starting and measuring take 1 to 2 seconds
    play = execute(job, ExecutorSetting(sys.executable, limit_s, tmp_path / "log"))
    next(play)
    time.sleep(1.1 * limit_s)
    record = alone(play)
    assert (record.status, record.reason) == ("ok", "")
    assert record.measured.phases["waiting"] > limit_s
    # Nobody looks at a worker that waits.
    assert len([s for s in record.observed.timeline.seconds if s > 2 * limit_s / 3]) < 20


def test_closing_ends_a_waiting_worker(job: Job, tmp_path: Path) -> None:
    before = set(psutil.Process().children())
    play = execute(job, ExecutorSetting(sys.executable, 60, tmp_path / "log"))
    next(play)
    assert len(set(psutil.Process().children()) - before) == 1
    start = time.monotonic()
    play.close()
    assert set(psutil.Process().children()) == before
    assert time.monotonic() - start < 5


def test_a_worker_killed_while_it_waits_is_a_record(job: Job, tmp_path: Path) -> None:
    before = set(psutil.Process().children())
    play = execute(job, ExecutorSetting(sys.executable, 60, tmp_path / "log"))
    next(play)
    (worker,) = set(psutil.Process().children()) - before
    worker.kill()
    record = alone(play)
    assert record.status == "crashed"
    assert "killed by SIGKILL (often: out of memory) during measure" in record.reason


def test_a_worker_whose_parent_is_gone_leaves(job: Job, tmp_path: Path) -> None:
    payload = json.dumps({"trial": to_json(evolve(job, scratch=str(tmp_path)))})
    command = [sys.executable, "-m", "mlbench_core.worker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(payload + "\n")
        worker.stdin.flush()
        assert any(json.loads(line)["event"] == "turn" for line in worker.stdout)
        worker.stdin.close()
        assert worker.wait(timeout=10) == 1


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
    results = suite.run(on_event=follow)
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
