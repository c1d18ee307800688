"""The Suite: READ `Suite.run` to see what `mlbench run` does."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from mlbench_core import environment
from mlbench_core.config import Config
from mlbench_core.data import open_prepared, parse_name, prepare
from mlbench_core.errors import ConfigError
from mlbench_core.hookspecs import FrameworkInfo
from mlbench_core.plugins import FRAMEWORKS, attribute, find, load_registry
from mlbench_core.results import Results
from mlbench_core.results.comparisons import unfinished
from mlbench_core.runner import devices
from mlbench_core.runner.journal import Journal
from mlbench_core.runner.local import ExecutorSetting
from mlbench_core.runner.matrix import Surroundings, available_cpus, block_of, cells_of, expand
from mlbench_core.runner.turns import Play, in_turns
from mlbench_core.runner.verification import Verification, verify
from mlbench_core.trial import Calibration, Job, Record, Trial, from_json
from mlbench_core.verify.rungs import Climb

OnEvent = Callable[[Trial, dict[str, Any]], None]


class Suite:
    """A run: a configuration and all that it needs.

    >>> Suite(frameworks=["jax"], models=["mlp"]).run().to_dataframe()  # doctest: +SKIP

    Takes a Config, or its keys as keyword arguments, or both (the keywords win). Raises ConfigError or PluginError, one line
    each, for anything that cannot be run as asked.
    """

    def __init__(self, config: Config | None = None, *, skip_frameworks: tuple[str, ...] = (), **keys: Any) -> None:
        self.config = (config or Config()).replace(**keys)
        self.registry = load_registry(Path.cwd())
        around = Surroundings(find(FRAMEWORKS), len(devices.visible()), available_cpus())
        self.trials = expand(self.config, self.registry, around, skip_frameworks)
        self._offered: dict[tuple[str, str], FrameworkInfo] = {}
        self._calibrated: dict[Trial, Calibration] = {}

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The machine before this suite put it to work: `verify` and `run` look first, so that its load is that of others."""
        return environment.facts(devices.facts())

    def run(
        self,
        on_event: OnEvent | None = None,
        on_download: Callable[[int, int], None] | None = None,
        parity: tuple[Climb, ...] = (),
    ) -> Results:
        """Runs every trial in a fresh process and returns the results, which are also written to the output folder.

        A trial that fails gets a status and a reason, and the rest goes on. Ctrl-C ends the run and keeps what is finished.

        on_event: called as (trial, event) for each event of a worker, between the events "start" and "record".
        on_download: called as (bytes so far, bytes in all) while a data set is downloaded.
        parity: what `verify` returned; without it the results say "unverified".
        """
        tell: OnEvent = on_event or (lambda _trial, _event: None)
        facts, output = self.facts, _make_folder(Path(self.config.output))
        data = self._prepare(on_download)
        journal = Journal(output / "journal.jsonl")
        records: list[Record] = []
        interrupted = False
        try:
            queue = self.trials
            while queue:
                for cell in cells_of(queue):
                    for record in self._run_cell(cell, data, output, tell):
                        journal.append(record)
                        records.append(record)
                        self.registry.hook.trial_finished(record=record)
                        tell(record.trial, {"event": "record", "record": record})
                queue = self._another_block(Results(tuple(records), self.config.to_dict(), facts, parity=parity))
                if queue:
                    tell(queue[0], {"event": "extended", "trials": len(queue)})
        except KeyboardInterrupt:
            interrupted = True
        finally:
            journal.close()
        results = Results(tuple(records), self.config.to_dict(), facts, interrupted, parity)
        self._report(results, output)
        return results

    def verify(self, fresh: bool = False, on_climb: Callable[[Climb], None] | None = None) -> tuple[Climb, ...]:
        """Climbs the parity ladder for every framework, model and device of the run; what is in the cache is not repeated.

        fresh: climb everything anew. on_climb is called with each climb as it is known.
        """
        self.facts  # noqa: B018  # looked at now, before the ladder loads the machine
        names = ("framework", "model", "device")
        unique = {name: tuple(dict.fromkeys(getattr(trial, name) for trial in self.trials)) for name in names}
        wanted = Verification(
            frameworks=unique["framework"],
            models=tuple(self.registry.models[name] for name in unique["model"]),
            devices=unique["device"],
            runs=tuple(sorted({(trial.precision, trial.execution) for trial in self.trials})),
            seed=self.config.seed,
            threads=self.trials[0].threads,
            interpreters=self.config.interpreters,
            time_limit_s=self.config.time_limit_s,
        )
        output = _make_folder(Path(self.config.output))
        tell = on_climb or (lambda _climb: None)
        return tuple(verify(wanted, environment.cache_folder() / "parity", output / "logs", fresh, tell))

    def _prepare(self, on_download: Callable[[int, int], None] | None) -> dict[tuple[str, str], Path]:
        """The folder with the data of each model, loaded, adapted to its input and on the disk before any worker starts."""
        folders: dict[tuple[str, str], Path] = {}
        for trial in self.trials:
            pair = (trial.model, trial.dataset)
            if pair not in folders:
                base, argument = parse_name(trial.dataset)
                folders[pair] = prepare(
                    self.registry.datasets[base],
                    self.registry.models[trial.model],
                    argument=argument,
                    data_dir=self.config.data_dir,
                    seed=self.config.seed,
                    cache=environment.cache_folder() / "data",
                    progress=on_download,
                )
            data = open_prepared(folders[pair])
            key, labels = (
                ("batch_sizes", data.y_train) if trial.task == "train" else ("inference_batch_size", data.y_val)
            )
            if trial.batch_size > len(labels):
                raise ConfigError(
                    f"{key}: {trial.batch_size} is more than the {len(labels)} samples of {trial.dataset}"
                )
        return folders

    def _another_block(self, so_far: Results) -> list[Trial]:
        """The trials of one more block: of every cell and metric with an interval that is not as narrow as asked for."""
        until = self.config.extend_until
        if until is None:
            return []
        wide = unfinished(so_far.comparisons(), until)
        cells = {comparison.trial.cell for comparison in wide}
        first = [trial for trial in self.trials if trial.block == 0 and trial.cell in cells]
        return block_of(first, 1 + max(record.trial.block for record in so_far.records)) if first else []

    def _run_cell(
        self, trials: list[Trial], data: dict[tuple[str, str], Path], output: Path, tell: OnEvent
    ) -> Iterator[Record]:
        """The records of a cell's arms, as they end: on a CPU in turns, elsewhere one after the other.

        A GPU's memory, utilisation and energy belong to one worker at a time.
        """
        share = trials[0].device == "cpu" and trials[0].measure.turn_seconds > 0 and len(trials) > 1
        plays = [self._play(trial, data[trial.model, trial.dataset], share, output, tell) for trial in trials]
        for group in [plays] if share else [[play] for play in plays]:
            for _, record in in_turns(group):
                yield record

    def _play(self, trial: Trial, data: Path, takes_turns: bool, output: Path, tell: OnEvent) -> Play[Record]:
        tell(trial, {"event": "start"})
        offered = self._offered.get((trial.framework, trial.device))
        problem = offered.refusal(trial.precision, trial.execution) if offered else ""
        if problem:  # an earlier worker has said so already: no need to start another
            return Record(trial, "unsupported", problem)

        def follow(event: dict[str, Any]) -> None:
            if event["event"] == "info":
                self._offered[trial.framework, trial.device] = from_json(event["info"], FrameworkInfo)
            tell(trial, event)

        setting = ExecutorSetting(
            python=self.config.interpreters.get(trial.framework, sys.executable),
            time_limit_s=self.config.time_limit_s,
            log=output / "logs" / f"{trial.label}-{trial.key[:6]}.log",
            on_event=follow,
        )
        source, known = self.registry.models[trial.model].source, self._calibrated.get(trial.arm)
        job = Job(trial, source, data=str(data), scratch="", calibration=known, takes_turns=takes_turns)
        execute = attribute(self.registry.executors[self.config.executor].run)
        record: Record = yield from execute(job, setting)
        if record.measured.calibration is not None:
            self._calibrated.setdefault(trial.arm, record.measured.calibration)
        return record

    def _report(self, results: Results, output: Path) -> None:
        for reporter in self.registry.reporters.values():
            try:
                attribute(reporter.write)(results, output)
            except Exception as error:  # one reporter's fault must not cost the others' files
                warnings.warn(f"reporter {reporter.name!r} failed: {type(error).__name__}: {error}", stacklevel=2)
        self.registry.hook.run_finished(results=results)


def _make_folder(path: Path) -> Path:
    try:
        (path / "logs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"output: cannot make the folder {str(path)!r}: {error.strerror}") from None
    return path
