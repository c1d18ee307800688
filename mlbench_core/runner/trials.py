"""Runs the trials of a suite, and keeps what one of them finds out for the next: offers, calibrations, machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from attrs import evolve

from mlbench_core.config import Config
from mlbench_core.data import open_prepared
from mlbench_core.entry import Entry, shown_framework
from mlbench_core.errors import ExecutorError
from mlbench_core.executor import Place, Running, Setting, record_of, trial_request
from mlbench_core.hookspecs import FrameworkInfo
from mlbench_core.record import LargestBatch, Record
from mlbench_core.registry import Registry
from mlbench_core.results.groups import grouped
from mlbench_core.results.results import machine_key
from mlbench_core.runner.asking import ask
from mlbench_core.runner.batches import largest, probe_of, room_of
from mlbench_core.runner.connected import Connected
from mlbench_core.runner.lanes import Block, Records
from mlbench_core.runner.preparation import Prepared, pair_of
from mlbench_core.runner.resume import UNFINISHED
from mlbench_core.runner.serving import Serving, check_nodes, gpus_on, serving, teams
from mlbench_core.runner.together import together
from mlbench_core.runner.turns import in_turns, run_alone
from mlbench_core.serialize import from_json
from mlbench_core.trial import Calibration, Job, Trial

OnEvent = Callable[[Trial, dict[str, Any]], None]


class TrialRunner:
    """Has trials run by the configuration's executor.

    executor: that. entries: the frameworks that run, by what each is called, which is what they go by here. offered: what
    they have said of themselves, by name, device and kind of node. calibrated: by arm. largest: the batches that were looked
    for, by arm. machines: facts by the key that records name. here: the key of the machine that the executor's descriptor tells
    of.
    """

    def __init__(self, config: Config, registry: Registry, folder: Path) -> None:
        self._config, self._registry, self._folder = config, registry, folder
        self.executor = Connected(registry.executor(config.executor), config.executor_options)
        self.entries: dict[str, Entry] = {}
        self.offered: dict[tuple[str, str, str], FrameworkInfo] = {}
        self.calibrated: dict[Trial, Calibration] = {}
        self.largest: dict[Trial, LargestBatch] = {}
        self.machines: dict[str, dict[str, Any]] = {}
        self.here = ""

    def places(self) -> tuple[Place, ...]:
        """Where trials run. Raises ConfigError if a kind of node that is asked for is not there."""
        check_nodes(self._config.nodes, self.executor.places, self._config.num_nodes)
        return self._teams(self.executor.places)

    def look(self) -> tuple[Place, ...]:
        """The same, of those that there are now."""
        return self._teams(self.executor.look())

    def _teams(self, places: Sequence[Place]) -> tuple[Place, ...]:
        return teams(self._config.nodes, places, self._config.num_nodes)

    def gpus_on(self) -> dict[str, int]:
        """By kind of node that is asked for, the GPUs of each such node; what an executor has that takes no such kinds is not
        looked at."""
        if not self._config.nodes or self._registry.executor(self._config.executor).connect is None:
            return {}
        return gpus_on(self._config.nodes, self.places())

    def serving(self, places: Sequence[Place]) -> Serving:
        """The kinds of node of the configuration whose trials each place takes."""
        return serving(self._config.nodes, places)

    def kinds(self) -> dict[Place, list[str]]:
        """The first place of each kind of machine that takes trials, with the kinds of node of all such places."""
        places = self.serving(self.places())
        return {
            alike[0]: list(dict.fromkeys(name for place in alike for name in places[place]))
            for alike in grouped((place for place, names in places.items() if names), lambda place: place.kind).values()
        }

    def ask(self, entry: Entry, device: str, node: str = "") -> FrameworkInfo | str:
        """What a framework says of itself on a device of a kind of node, or why it cannot be asked."""
        place = next((place.name for place, names in self.kinds().items() if node in names), "")
        info, problem = ask(self.executor.run, entry.name, device, entry.python, place)
        if info is None:
            return problem
        self.offered[entry.shown, device, node] = info
        return info

    def ask_named(self, name: str, device: str, node: str) -> FrameworkInfo | str:
        """The same of the entry that is called so."""
        return self.ask(self.entries[name], device, node)

    def run_block(self, trials: Block, place: Place, data: Prepared, output: Path, tell: OnEvent) -> Records:
        """The records of arms that stand side by side, as they end, and what to wait for meanwhile: on a CPU in turns,
        elsewhere one after the other.

        A GPU's memory, utilisation and energy belong to one worker at a time.
        """

        def follow(trial: Trial, event: dict[str, Any]) -> None:
            if event["event"] == "start":
                self._registry.tell("trial_started", trial=trial)
            tell(trial, event)

        share = trials[0].device == "cpu" and trials[0].measure.turn_seconds > 0 and len(trials) > 1
        running = [self._run(trial, place, data, share, output, follow) for trial in trials]
        for group in [running] if share else [[one] for one in running]:
            for item in in_turns(group):
                yield item if isinstance(item, Future) else item[1]

    def find_batch(self, arm: Trial, arms: int, data: Prepared, output: Path) -> LargestBatch:
        """The largest batch that an arm trains with, on every kind of machine that it may run on. arms: of its group."""
        pair = pair_of(arm)
        if pair in data.faults:
            return LargestBatch(size=None, status="failed", reason=data.faults[pair])

        places = [place for place, nodes in self.kinds().items() if arm.node in nodes]

        def probe(samples: int) -> Record:
            for place in places:
                record = self._probe(probe_of(arm, samples), place, data, output)
                if record.status != "ok":
                    break
            return record

        def room(record: Record) -> float:
            return room_of(self.machines.get(record.machine, {}), arms)

        return largest(arm, probe, len(open_prepared(data.folders[pair]).y_train), room)

    def _probe(self, trial: Trial, place: Place, data: Prepared, output: Path) -> Record:
        record = run_alone(self._run(trial, place, data, False, output, lambda _trial, _event: None))
        if record.status in UNFINISHED:
            raise ExecutorError(f"looking for the largest batch: {trial.label}: {record.status}: {record.reason}")
        return record

    def _run(
        self, trial: Trial, place: Place, data: Prepared, takes_turns: bool, output: Path, tell: OnEvent
    ) -> Running[Record]:
        tell(trial, {"event": "start"})
        pair = pair_of(trial)
        if pair in data.faults:
            return Record(trial=trial, status="failed", reason=data.faults[pair])
        entry = self.entries[shown_framework(trial)]
        offered = self.offered.get((entry.shown, trial.device, trial.node))
        problem = offered.refusal(trial.precision, trial.execution) if offered else ""
        if problem:  # an earlier worker has said so already: no need to start another
            return Record(trial=trial, status="unsupported", reason=problem)

        def follow(event: dict[str, Any]) -> None:
            if event["event"] == "info":
                self.offered[entry.shown, trial.device, trial.node] = from_json(event["info"], FrameworkInfo)
            tell(trial, event)

        setting = Setting(
            python=entry.python,
            time_limit_s=self._config.time_limit_s,
            phase_limit_s=self._config.phase_limit_s,
            log=output / "logs" / f"{trial.label}-{trial.key[:6]}.log",
            on_event=follow,
            folder=self._folder,
        )
        source = self._registry.trained_with(trial.model, trial.optimizer, trial.loss).source
        known = self.calibrated.get(trial.arm)
        folder = str(data.folders[pair])
        job = Job(trial=trial, model=source, data=folder, calibration=known, takes_turns=takes_turns)
        outcome = yield from together(self.executor.run, trial_request(job), setting, place)
        record = evolve(
            record_of(job, outcome, self._machine(outcome.machine)),
            notes=data.notes[pair],
            largest_batch=self.largest.get(trial.arm),
        )
        if record.measured.calibration is not None:
            self.calibrated.setdefault(trial.arm, record.measured.calibration)
        return record

    def _machine(self, facts: dict[str, Any] | None) -> str:
        """The key of the machine that a worker ran on, whose facts are kept once."""
        if facts is None:
            return self.here
        key = machine_key(facts)
        self.machines[key] = facts
        return key
