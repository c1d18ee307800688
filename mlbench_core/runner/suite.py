"""The Suite: READ `Suite.run` to see what `mlbench run` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from attrs import evolve

from mlbench_core.config import Config
from mlbench_core.devices import kind_of
from mlbench_core.entry import Entry, shown_framework
from mlbench_core.errors import ExecutorError, JournalError, in_one_line
from mlbench_core.executor import Place
from mlbench_core.hookspecs import FrameworkInfo
from mlbench_core.installed import FRAMEWORKS, find
from mlbench_core.interruption import held
from mlbench_core.machine.cache import cache_folder
from mlbench_core.nodes import where
from mlbench_core.record import Record
from mlbench_core.registry import load_registry
from mlbench_core.results import Results
from mlbench_core.results.comparisons import unfinished
from mlbench_core.results.groups import arm_label, group_of
from mlbench_core.runner.batches import Found, by_arm, missing, with_batches
from mlbench_core.runner.folder import check_free, make_folder
from mlbench_core.runner.lanes import Block, Lanes, Records
from mlbench_core.runner.matrix import Surroundings, available_cpus, block_of, expand, side_by_side
from mlbench_core.runner.opening import How, Opened, header_of, open_run
from mlbench_core.runner.preparation import Prepared, prepare_all
from mlbench_core.runner.trials import OnEvent, TrialRunner
from mlbench_core.runner.verification import Verification, verify
from mlbench_core.runner.writing import write_all
from mlbench_core.trial import Trial
from mlbench_core.verify.rungs import ParityResult


class Suite:
    """A run: a configuration and all that it needs, such as `Suite(frameworks=["jax"], models=["mlp"]).run().to_dataframe()`.

    Takes a Config, or its keys as keyword arguments, or both (the keywords win). Raises ConfigError or PluginError, one line
    each, for anything that cannot be run as asked.

    folder: the working directory when it was made, whose `mlbenchfile.py` it uses; workers start there.

    trials: what will be run, in that order; with `batch_sizes: auto` a batch has no size until `find_batches` has found it.
    not_offered: what `all` asked for that a framework does not offer, "jax: eager, graph"; frameworks are asked, each in a
    process of its own, only if the configuration says `all` for precision, execution or devices with a GPU.

    After `run`: rescue: the folder that has the results if the output folder cannot be written. so_far: what there is of
    a run that raised JournalError or ExecutorError.
    """

    def __init__(self, config: Config | None = None, *, skip_frameworks: tuple[str, ...] = (), **keys: Any) -> None:
        self.folder = Path.cwd()
        self.config = (config or Config()).replace(**keys).at(self.folder)
        self.registry = load_registry(self.folder)
        self._skipped = skip_frameworks
        self._runner = TrialRunner(self.config, self.registry, self.folder)
        self._data: Prepared | None = None
        self.rescue: Path | None = None
        self.so_far: Results | None = None
        self._parity: tuple[ParityResult, ...] | None = None
        self._opened: Opened | None = None
        on_cpus = all(kind_of(device) == "cpu" for device in self.config.devices)
        gpus = 0 if on_cpus else len(self.facts["gpus"])
        around = Surroundings(
            frameworks=find(FRAMEWORKS),
            gpus=gpus,
            cpus=available_cpus(),
            offers=self._ask,
            gpus_on={} if on_cpus else self._runner.gpus_on(),
        )
        matrix = expand(self.config, self.registry, around, skip_frameworks)
        self.trials, self.not_offered, self._faults = matrix.trials, matrix.not_offered, matrix.faults
        self._planned = tuple(matrix.trials)
        self._runner.entries = matrix.entries

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The machine before this suite put it to work: `verify` and `run` look first, so that its load is that of others."""
        facts: dict[str, Any] = self._runner.executor.machine()
        return facts

    @property
    def places(self) -> dict[str, int]:
        """How many places run trials at the same time, by the kind of node, which is "" if none is named."""
        return dict(Counter(node for nodes in self._runner.serving(self._runner.places()).values() for node in nodes))

    def _ask(self, entry: Entry, device: str, node: str) -> FrameworkInfo | None:
        """What a framework says of itself there, or None if it cannot be asked: its first trial will say why."""
        self.facts  # noqa: B018  # looked at now, before a worker loads the machine
        info = self._runner.ask(entry, device, node)
        return None if isinstance(info, str) else info

    def open(
        self,
        *,
        verify: bool = True,
        resume: bool = False,
        overwrite: bool = False,
        retry_failed: bool = False,
        force: bool = False,
        strict: bool = False,
    ) -> Opened:
        """Prepares the data, takes the output folder for the next `run` and tells plugins that it starts; else `run` does so
        itself. The arguments are those of `run`. strict: what is written into the journal for who resumes it."""
        self.registry.enter()
        how = How(resume=resume, overwrite=overwrite, retry_failed=retry_failed, force=force)
        output = Path(self.config.output)
        if not (resume or overwrite):
            check_free(output)  # said before anything is downloaded
        self.facts  # noqa: B018  # looked at now, before anything loads the machine
        self._runner.places()
        self.prepare()  # what cannot be run leaves no folder behind
        header = header_of(self.config, self._planned, self._skipped, self.folder, self.facts, verify)
        header = evolve(header, strict=strict)
        self._opened = opened = open_run(output, how, header, self._planned, self._runner.ask_named)
        self._runner.here, self._runner.machines = opened.here, dict(opened.machines)
        left = tuple(opened.kept.left(with_batches(self._planned, opened.batches)))
        self.registry.tell("run_started", config=self.config, trials=left, resumed=len(opened.parts) > 1)
        return opened

    def run(
        self,
        on_event: OnEvent | None = None,
        *,
        verify: bool = True,
        resume: bool = False,
        overwrite: bool = False,
        retry_failed: bool = False,
        force: bool = False,
    ) -> Results:
        """Prepares the data, verifies the models, runs every trial in a fresh process, and returns the results, which are also
        written to the output folder.

        A trial that fails gets a status and a reason, and the rest goes on. Ctrl-C ends the run and keeps what is finished.

        on_event: called as (trial, event) for each event of a worker, between the events "start" and "record".
        verify: False skips the parity ladder, and the results say "unverified".
        resume: goes on with the run in the output folder, if there is one; retry_failed: its failed trials are run again;
        force: whatever has changed since. overwrite: removes the run in the output folder.

        Raises ConfigError if the folder holds a run and neither is said, if another run has it, or if what it holds was run
        otherwise; JournalError if the journal in it is damaged or cannot be written; ExecutorError if nothing is left to run
        on.
        """
        tell: OnEvent = on_event or (lambda _trial, _event: None)
        opened = self._opened or self.open(
            verify=verify, resume=resume, overwrite=overwrite, retry_failed=retry_failed, force=force
        )
        self._opened = None
        try:
            return self._run(opened, tell, verify)
        finally:
            opened.close()

    def _run(self, opened: Opened, tell: OnEvent, verify: bool) -> Results:
        runner, kept = self._runner, opened.kept
        runner.calibrated |= kept.calibrations
        data = self.prepare()
        parity = opened.parity or ()

        def again(block: Block) -> None:
            tell(block[0], {"event": "extended", "trials": block, "why": "is run again, because its node was lost"})

        lanes = Lanes(runner.places(), runner.look, self.config.node_lost_retries, again, runner.serving)
        new: dict[Trial, Record] = {}

        def start(block: Block, place: Place) -> Records:
            return runner.run_block(block, place, data, opened.folder, tell)

        def results(interrupted: bool) -> Results:
            return Results(
                records=kept.until(list(new.values())),
                config=self.config.to_dict(),
                machines=runner.machines,
                interrupted=interrupted,
                parity=parity,
                parts=opened.parts,
            )

        interrupted = False
        try:
            if verify and opened.parity is None:
                parity = self.verify() if self._parity is None else self._parity
                opened.journal.add_parity(parity)
            self._find_batches(opened, data, lambda _line: None)
            queue, block = kept.left(self.trials), self.config.blocks
            while True:
                for record in lanes.run(side_by_side(queue), start):
                    with held():
                        new[record.trial] = record  # first: a journal that cannot be written to costs no record
                        opened.journal.add(record, runner.machines.get(record.machine, {}))
                    self.registry.tell("trial_finished", record=record)
                    tell(record.trial, {"event": "record", "record": record})
                more = self._another_block(results(interrupted), block)
                if not more:
                    break
                queue, block = kept.left(more), block + 1
                if queue:
                    tell(
                        queue[0], {"event": "extended", "trials": queue, "why": "an interval is not narrow enough yet"}
                    )
        except KeyboardInterrupt:
            interrupted = True
        except (JournalError, ExecutorError, OSError) as error:
            # A full disk, a folder that is gone, no node left: what has ended may find a place.
            self.so_far = results(interrupted=True)
            self.rescue = write_all(self.so_far, opened.folder, self.registry)
            if isinstance(error, (JournalError, ExecutorError)):
                raise
            raise JournalError(f"{in_one_line(error)}: the run was stopped, and what had ended is kept") from error
        found = results(interrupted)
        self.rescue = write_all(found, opened.folder, self.registry)
        return found

    def verify(
        self, fresh: bool = False, on_result: Callable[[ParityResult], None] | None = None
    ) -> tuple[ParityResult, ...]:
        """Climbs the parity ladder for every framework, model and device of the run; what is in the cache is not repeated.

        fresh: result everything anew. on_result is called with each result as it is known.
        """
        self.registry.enter()
        self.facts  # noqa: B018  # looked at now, before the ladder loads the machine
        wanted = Verification(
            entries=tuple(self._runner.entries[name] for name in dict.fromkeys(map(shown_framework, self.trials))),
            models=tuple(
                self.registry.trained_with(*trained)
                for trained in dict.fromkeys((trial.model, trial.optimizer, trial.loss) for trial in self.trials)
                if trained[0] in self.registry.models
            ),
            devices=(),
            runs=tuple(sorted({(trial.precision, trial.execution) for trial in self.trials})),
            seed=self.config.seed,
            threads=self.trials[0].threads,
            time_limit_s=self.config.time_limit_s,
            tuned=self.config.profile == "tuned",
            folder=self.folder,
            faults={model: why for (model, _), why in self._faults.items() if model not in self.registry.models},
        )
        output = make_folder(Path(self.config.output))
        tell = on_result or (lambda _result: None)
        found: list[ParityResult] = []
        for place, nodes in self._runner.kinds().items():
            devices = tuple(dict.fromkeys(trial.device for trial in self.trials if trial.node in nodes))
            mine = evolve(wanted, places=(place,), devices=devices, nodes=tuple(filter(None, nodes)))
            found += verify(mine, self._runner.executor.run, cache_folder() / "parity", output / "logs", fresh, tell)
        self._parity = tuple(found)
        return self._parity

    def prepare(self, on_download: Callable[[int, int], None] | None = None) -> Prepared:
        """The data of each model and data set, adapted to the model's input and on the disk; done once.

        on_download: called as (bytes so far, bytes in all) while a data set is downloaded. Raises ConfigError or PluginError
        if no trial can be run, or if a batch is larger than its data set.
        """
        if self._data is None:
            self.registry.enter()
            cache = cache_folder().absolute() / "data"
            with self.registry.as_it_is_now():
                self._data = prepare_all(self.trials, self.config, self.registry, self._faults, cache, on_download)
        return self._data

    def find_batches(self, on_line: Callable[[str], None] = lambda _line: None) -> None:
        """With `batch_sizes: auto`, finds the largest batch of each arm, each probe in a process of its own, and gives `trials`
        their sizes: the largest that fits in all arms of a group. Done by `run` where it was not done before; what an earlier
        part of the run has found is not looked for again.

        on_line is called with a line for a person before the first probe and for each arm. Raises what `open` does.
        """
        self._find_batches(self._opened or self.open(), self.prepare(), on_line)

    def _find_batches(self, opened: Opened, data: Prepared, on_line: Callable[[str], None]) -> None:
        runner, found = self._runner, opened.batches
        for group, arms in missing(self._planned, found).items():
            on_line(f"looking for the largest batch of {group.model} on {where(group)} in {group.precision} ...")
            for arm in arms:
                found.append(Found(arm, runner.find_batch(arm, len(arms), data, opened.folder)))
                opened.journal.add_batch(found[-1])
                on_line(f"largest batch: {arm_label(arm)}: {found[-1].largest}")
        self.trials, runner.largest = with_batches(self._planned, found), by_arm(self._planned, found)

    def _another_block(self, so_far: Results, block: int) -> list[Trial]:
        """The trials of one more block, of that number: of every group with an interval that is not as narrow as asked for.

        What is decided from are the blocks before it: a resumed run, which may have later ones, decides as it did at first.
        """
        until = self.config.extend_until
        if until is None:
            return []
        before = evolve(so_far, records=tuple(record for record in so_far.records if record.trial.block < block))
        groups = {comparison.group for comparison in unfinished(before.comparisons, until)}
        first = [trial for trial in self.trials if trial.block == 0 and group_of(trial) in groups]
        return block_of(first, block) if first else []
