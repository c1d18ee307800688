"""What is counted while a worker measures, on files made by hand and beside processes that really take its CPUs."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve

from mlbench_core.data import prepare
from mlbench_core.executor import Setting, record_of, trial_request
from mlbench_core.executors import local
from mlbench_core.record import Record
from mlbench_core.registry import load_registry
from mlbench_core.results.flags import trial_flags
from mlbench_core.runner.turns import run_alone
from mlbench_core.thresholds import Limits, Measure
from mlbench_core.trial import Job, Task, Trial
from mlbench_core.worker import disturbance
from mlbench_core.worker.disturbance import Disturbance

STAT = "cpu  9 9 9 9 9 9 9 9 0 0\n{}intr 1\n"
CPU = "cpu{number} {user} 0 0 500 0 0 0 {steal} 0 0\n"


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "cgroup").mkdir()
    monkeypatch.setattr(disturbance, "PROC", tmp_path / "proc")
    monkeypatch.setattr(disturbance, "CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})
    return tmp_path


def busy(system: Path, ticks: int, steal: int = 0, cpus: int = 3) -> None:
    lines = "".join(CPU.format(number=number, user=ticks, steal=steal) for number in range(cpus))
    (system / "proc/stat").write_text(STAT.format(lines))


def test_others_are_what_is_busy_less_the_process_s_own(system: Path) -> None:
    counting = Disturbance()
    busy(system, 1000)
    counting.resume()
    busy(system, 1300, steal=20)  # three seconds on each of this process's two CPUs, 0.2 stolen
    counting.pause()
    found = counting.counters()
    assert found["cpus"] == 2
    assert found["others_cpu_s"] == pytest.approx(6 - found["own_cpu_s"])
    assert found["steal_s"] == pytest.approx(0.4)
    assert found["resolution_s"] == pytest.approx(2**0.5 / os.sysconf("SC_CLK_TCK"))  # two CPUs, read once


def test_counters_that_are_made_up_are_none(system: Path) -> None:
    """A sandbox shows a /proc/stat in which nothing is ever busy."""
    busy(system, 0)
    counting = Disturbance()
    with counting.on():
        end = time.process_time() + 0.1
        while time.process_time() < end:
            pass
    assert "others_cpu_s" not in counting.counters()


def test_what_the_process_has_started_is_its_own() -> None:
    code = "import time\nprint(flush=True)\nwhile time.process_time() < 0.4: pass\nprint(flush=True)\ninput()"
    pipe = subprocess.PIPE
    counting = Disturbance()
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True) as child:
        assert child.stdout
        child.stdout.readline()
        with counting.on():
            child.stdout.readline()
        running = counting.counters()["own_cpu_s"]
        with counting.on():
            child.communicate("\n")
        assert 0.2 < running < 0.6  # of 0.4 s less what its start took, with ours
    ended = counting.counters()["own_cpu_s"] - running
    assert ended < 0.2  # what it had used before is not counted again now that it has ended


def test_pressure_on_the_cpus(system: Path) -> None:
    (system / "proc/pressure").mkdir()
    text = "some avg10=0.00 avg60=0.00 avg300=0.00 total={}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"
    (system / "proc/pressure/cpu").write_text(text.format(1_000_000))
    counting = Disturbance()
    counting.resume()
    (system / "proc/pressure/cpu").write_text(text.format(1_250_000))
    counting.pause()
    assert counting.counters()["cpu_pressure_s"] == 0.25


def test_nothing_counts_while_it_is_paused(system: Path) -> None:
    counting = Disturbance()
    busy(system, 1000)
    counting.resume()
    counting.pause()
    busy(system, 9000)  # somebody else's turn
    counting.resume()
    counting.pause()
    counting.pause()
    assert counting.counters()["others_cpu_s"] == 0.0


@pytest.mark.parametrize(
    ("membership", "file", "text", "seconds"),
    [
        ("0::/mine\n", "mine/cpu.stat", "usage_usec 5\nthrottled_usec {}000000\n", 2.0),
        ("0::/\n", "cpu.stat", "throttled_usec {}000000\n", 2.0),
        ("4:cpu,cpuacct:/mine\n", "cpu,cpuacct/mine/cpu.stat", "nr_throttled 1\nthrottled_time {}000000000\n", 2.0),
        ("4:cpu:/mine\n", "cpu/cpu.stat", "throttled_time {}000000000\n", 2.0),
        ("0::/pod/mine\n", "pod/cpu.stat", "throttled_usec {}000000\n", 2.0),
        ("4:cpu:/pod/mine\n", "cpu/pod/cpu.stat", "throttled_time {}000000000\n", 2.0),
        ("0::/mine\n", "other/cpu.stat", "throttled_usec {}000000\n", None),
        ("3:memory:/mine\n", "memory/cpu.stat", "throttled_usec {}000000\n", None),
    ],
)
def test_throttling_of_either_version_of_control_groups(
    membership: str, file: str, text: str, seconds: float | None, system: Path
) -> None:
    (system / "proc/self/cgroup").write_text(membership)
    place = system / "cgroup" / file
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text.format(1))
    counting = Disturbance()
    counting.resume()
    place.write_text(text.format(3))
    counting.pause()
    assert counting.counters().get("cgroup_throttled_s") == seconds


def test_a_system_that_tells_nothing_has_the_process_s_own_counters(system: Path) -> None:
    counting = Disturbance()
    counting.resume()
    counting.pause()
    assert set(counting.counters()) == {"wall_s", "own_cpu_s", "preempted", "page_faults"}


@pytest.fixture
def spinners() -> Iterator[None]:
    """Processes that take every CPU there is."""
    code = "while True: pass"
    started = [subprocess.Popen([sys.executable, "-c", code]) for _ in os.sched_getaffinity(0)]
    time.sleep(0.5)
    yield
    for process in started:
        process.kill()
        process.wait()


def measured(task: Task, tmp_path: Path) -> Record:
    registry = load_registry(tmp_path)
    model = registry.models["mlp"]
    data = prepare(registry.datasets["digits"], model, argument="", data_dir=None, seed=0, cache=tmp_path)
    trial = Trial(
        framework="numpy", model="mlp", dataset="digits", device="cpu", batch_size=32, precision="fp32", execution="default",
        task=task, block=1, num_epochs=0, seed=0, threads=len(os.sched_getaffinity(0)),
        measure=Measure(warmup_seconds=0, steady_limit=0, value_seconds=0.02, min_values=20, min_seconds=1.0, queries=400),
    )  # fmt: skip
    job = Job(trial=trial, model=model.source, data=str(data))
    setting = Setting(python=sys.executable, time_limit_s=120, log=tmp_path / "log")
    return record_of(job, run_alone(local.run(trial_request(job), setting)), "")


@pytest.mark.long
def test_a_number_taken_beside_others_is_unstable_and_says_who_took_how_much(spinners: None, tmp_path: Path) -> None:
    record = measured("train", tmp_path)
    assert (record.status, record.reason) == ("ok", "")
    (flag,) = [flag for flag in trial_flags(record, Limits()) if flag.name == "disturbed"]
    assert flag.level == "unstable"
    assert flag.text.startswith("while measuring, other processes used ")
    # Each CPU is shared by two that want all of it; the scheduler's halves are not exact.
    counters = record.measured.disturbance["measure"]
    assert 0.2 < counters["others_cpu_s"] / (counters["wall_s"] * counters["cpus"]) < 0.9


@pytest.mark.long
def test_queries_are_watched_too(spinners: None, tmp_path: Path) -> None:
    record = measured("infer", tmp_path)
    assert set(record.measured.disturbance) == {"measure", "latency"}
    assert {flag.name for flag in trial_flags(record, evolve(Limits(), others_cpu=0.1))} >= {"disturbed"}
