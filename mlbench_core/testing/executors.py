"""The kit for executors: subclass `ExecutorConformance`, name your descriptor, and it is asked for all that a run asks of one.

In your package's tests::

    from my_package.plugin import register_executors
    from mlbench_core.testing.executors import ExecutorConformance

    class TestMine(ExecutorConformance):
        descriptor = register_executors()[0]
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any, ClassVar

import pytest
from attrs import evolve

from mlbench_core.architecture import UpdateRule
from mlbench_core.data import prepare
from mlbench_core.data import register_datasets as data_sets
from mlbench_core.executor import Outcome, Request, Running, Setting, inspect_request, record_of, trial_request
from mlbench_core.executors.events import EVENTS, FINAL
from mlbench_core.hookspecs import FrameworkInfo
from mlbench_core.installed import REFERENCE
from mlbench_core.models import register_models as models
from mlbench_core.plugins import attribute
from mlbench_core.record import Record
from mlbench_core.serialize import from_json
from mlbench_core.testing.parent import DescriptorConformance
from mlbench_core.thresholds import Measure
from mlbench_core.trial import Inspection, Job, ModelSource, Plan, Trial

QUICK = Measure(
    warmup_steps=1,
    warmup_seconds=0,
    value_seconds=0.001,
    min_values=3,
    min_seconds=0,
    steady_limit=0,
    latency_steps=3,
    queries=3,
)
PLAN = Plan(
    device="cpu",
    precision="fp32",
    execution="default",
    batch_size=1,
    optimizer=UpdateRule(name="sgd", learning_rate=0.1),
    threads=1,
    seed=0,
    task="infer",
)
MOST_TURNS = 1000
"""A worker that says that it has had its turn more often than this in a measurement that is over at once will never end."""


class ExecutorConformance(DescriptorConformance):
    """python: the interpreter of its workers. time_limit_s: that is enough for one that does what it should."""

    python: ClassVar[str] = sys.executable
    time_limit_s: ClassVar[float] = 120.0

    @classmethod
    def functions(cls) -> list[str]:
        return [cls.descriptor.run, cls.descriptor.machine]

    @pytest.fixture
    def setting(self, tmp_path: Path) -> Setting:
        """What the executor needs besides a request; what its workers tell is kept in `events`."""
        self.events: list[dict[str, Any]] = []
        return Setting(
            python=self.python,
            time_limit_s=self.time_limit_s,
            log=tmp_path / "log",
            on_event=self.events.append,
            folder=tmp_path,
        )

    @pytest.fixture
    def job(self, tmp_path: Path) -> Job:
        """A small trial of the reference."""
        (model,) = (each for each in models() if each.name == "mlp")
        (data,) = (each for each in data_sets() if each.name == "synthetic")
        folder = prepare(data, model, argument="8/2@64", data_dir=None, seed=0, cache=tmp_path / "cache")
        trial = Trial(
            framework=REFERENCE, model="mlp", dataset="synthetic:8/2@64", device="cpu", batch_size=16, precision="fp32",
            execution="default", task="infer", block=1, num_epochs=0, seed=0, threads=1, measure=QUICK,
        )  # fmt: skip
        return Job(trial=trial, model=model.source, data=str(folder))

    @classmethod
    def start(cls, request: Request, setting: Setting) -> Running[Outcome]:
        """The generator that the executor returns."""
        running: Running[Outcome] = attribute(cls.descriptor.run)(request, setting)
        assert hasattr(running, "send"), (
            f"{cls.descriptor.run} returned a {type(running).__name__}, not a generator: see Run"
        )
        return running

    @classmethod
    def run(cls, request: Request, setting: Setting) -> tuple[Outcome, int]:
        """The outcome, and how often the worker said that it had its turn."""
        running = cls.start(request, setting)
        for turns in range(MOST_TURNS):
            found = cls.go_on(running)
            if found is not None:
                return found, turns
        raise AssertionError(
            f"it yielded {MOST_TURNS} times: yield when the worker has had its turn, not while it works"
        )

    @staticmethod
    def go_on(running: Running[Outcome]) -> Outcome | None:
        """The outcome, or None once the worker has had its turn."""
        while True:
            try:
                pending = next(running)
            except StopIteration as end:
                found = end.value
                assert isinstance(found, Outcome), f"it ended with a {type(found).__name__}, not an executor.Outcome"
                return found
            if pending is None:
                return None
            assert isinstance(pending, Future), f"it yielded a {type(pending).__name__}: see executor.Running"
            wait([pending])

    @classmethod
    def refused(cls, request: Request, setting: Setting, *statuses: str) -> str:
        """Why a request came to nothing, which is one line, with one of these statuses."""
        found, _ = cls.run(request, setting)
        assert found.status in statuses, f"the status is {found.status!r}, not {' or '.join(statuses)}: {found.reason}"
        assert found.reason, f"with the status {found.status!r} the reason is empty: nobody could mend it"
        assert "\n" not in found.reason, f"a reason is one line: {found.reason!r}"
        return found.reason

    def test_the_machine_is_told_as_json(self) -> None:
        facts = attribute(self.descriptor.machine)()
        assert isinstance(facts, dict), (
            f"{self.descriptor.machine} returned a {type(facts).__name__}, not a dict of facts"
        )
        assert json.loads(json.dumps(facts)) == facts, (
            "the facts do not survive JSON: use texts, numbers, lists and dicts"
        )
        missing = sorted({"system", "cpu", "cpu_count", "memory_bytes", "gpus"} - set(facts))
        assert not missing, f"the facts lack {', '.join(missing)}: see machine.facts.machine_facts"

    def test_a_framework_is_asked(self, setting: Setting) -> None:
        found, turns = self.run(inspect_request(Inspection(REFERENCE, PLAN)), setting)
        assert found.status == "ok", f"it could not ask {REFERENCE}: {found.reason}"
        assert "info" in found.answer, (
            f"the answer {sorted(found.answer)} lacks 'info': give the fields of the last event"
        )
        assert from_json(found.answer["info"], FrameworkInfo).name == REFERENCE
        assert turns == 0, f"nobody takes turns here, and it yielded {turns} times"

    def test_a_trial_becomes_a_record(self, setting: Setting, job: Job) -> None:
        found, _ = self.run(trial_request(job), setting)
        assert found.status == "ok", f"the trial is {found.status}: {found.reason}"
        record = record_of(job, found, "machine")
        assert isinstance(record, Record)
        assert record.measured.values, "nothing was measured"
        assert found.started, "started is empty: give ISO 8601 in UTC"
        assert found.observed.wall_s > 0, "observed.wall_s is 0: give the seconds from before the worker was started"

    def test_events_are_handed_on_as_they_come(self, setting: Setting, job: Job) -> None:
        self.run(trial_request(job), setting)
        names = [event.get("event") for event in self.events]
        assert {"phase", "info"} <= set(names), (
            f"on_event was called with {sorted(map(str, set(names)))}: phases and info are missing"
        )
        unknown = sorted({str(name) for name in names} - set(EVENTS))
        assert not unknown, f"on_event was called with {unknown}, which are none of executors.events.EVENTS"
        assert names[-1] in FINAL, f"the last event was {names[-1]!r}: a worker's last is one of {FINAL}"

    def test_what_a_worker_prints_is_in_the_log(self, setting: Setting, job: Job) -> None:
        found, _ = self.run(trial_request(job), setting)
        assert setting.log.is_file(), f"there is no file {setting.log}: it takes all that the worker prints"
        assert "mlbench modules:" in setting.log.read_text(), (
            "the log lacks what the worker printed last, on standard error"
        )
        assert found.log == str(setting.log), f"the outcome's log is {found.log!r}, not the setting's"

    def test_turns_are_waited_for(self, setting: Setting, job: Job) -> None:
        found, turns = self.run(trial_request(evolve(job, takes_turns=True)), setting)
        assert found.status == "ok", f"with turns the trial is {found.status}: {found.reason}"
        assert turns > 0, (
            "it never yielded: yield at each event 'turn', and tell the worker to go on when asked for the next"
        )

    def test_two_workers_at_once(self, setting: Setting, job: Job) -> None:
        request = trial_request(evolve(job, takes_turns=True))
        waiting = self.start(request, setting)
        self.go_on(waiting)
        other, _ = self.run(request, evolve(setting, log=setting.log.with_name("other")))
        assert other.status == "ok", (
            f"while another worker waits for its turn, a trial is {other.status}: {other.reason}"
        )
        waiting.close()

    def test_an_early_end_ends_the_worker_soon(self, setting: Setting, job: Job) -> None:
        running = self.start(trial_request(evolve(job, takes_turns=True)), setting)
        self.go_on(running)
        start = time.monotonic()
        running.close()
        assert time.monotonic() - start < self.time_limit_s / 2, "closing the generator waits for the worker: end it"

    def test_what_goes_wrong_in_a_worker_is_an_outcome(self, setting: Setting, job: Job) -> None:
        reason = self.refused(trial_request(evolve(job, model=ModelSource("no_such_module:model"))), setting, "failed")
        assert "no_such_module" in reason, f"the reason is the worker's own, and this one is not: {reason}"

    def test_what_is_not_offered_is_unsupported(self, setting: Setting, job: Job) -> None:
        asked = evolve(job, trial=evolve(job.trial, precision="fp16"))
        assert "fp16" in self.refused(trial_request(asked), setting, "unsupported")

    def test_the_time_limit_ends_a_worker(self, setting: Setting, job: Job) -> None:
        long = evolve(job, trial=evolve(job.trial, measure=evolve(QUICK, warmup_seconds=self.time_limit_s)))
        reason = self.refused(trial_request(long), evolve(setting, time_limit_s=3.0), "timeout")
        assert "time_limit_s" in reason, f"the reason should name the key time_limit_s: {reason}"

    def test_an_interpreter_that_is_not_there_is_an_outcome(self, setting: Setting, job: Job) -> None:
        reason = self.refused(trial_request(job), evolve(setting, python="no-such-python"), "failed", "crashed")
        assert "no-such-python" in reason, f"the reason should name the interpreter 'no-such-python': {reason}"
