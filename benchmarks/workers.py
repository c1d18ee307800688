"""One trial of mlbench's own worker in a fresh process, outside a run: what the benchmarks time against."""

from __future__ import annotations

import itertools
import os
import sys
import threading
from pathlib import Path

import numpy as np

from mlbench_core.data import Arrays, batches, open_prepared, prepare
from mlbench_core.executor import Running, Setting, record_of, trial_request
from mlbench_core.executors import local
from mlbench_core.machine.cache import cache_folder
from mlbench_core.record import Record
from mlbench_core.registry import Registry, load_registry
from mlbench_core.runner.turns import run_alone
from mlbench_core.thresholds import Measure
from mlbench_core.trial import Calibration, Job, Task, Trial
from mlbench_core.worker.tasks import RING

TIME_LIMIT_S = 600.0
BATCH_SIZE: dict[Task, int] = {"train": 32, "infer": 1}
SEED = 0


class Workers:
    """Starts workers on the digits, adapted to each model's input, on the CPUs that this process may use.

    logs: the folder for what they print. threads: of each, as many as there are CPUs by default.
    """

    def __init__(self, logs: Path, threads: int | None = None) -> None:
        self.registry: Registry = load_registry(Path())
        self.logs = logs
        self.threads = threads or len(os.sched_getaffinity(0))
        logs.mkdir(parents=True, exist_ok=True)

    def data(self, model: str) -> Path:
        """The folder of the prepared data."""
        return prepare(
            self.registry.datasets["digits"],
            self.registry.models[model],
            argument="",
            data_dir=None,
            seed=0,
            cache=cache_folder() / "data",
        )

    def arrays(self, model: str) -> Arrays:
        """The prepared data."""
        return open_prepared(str(self.data(model)))

    def ring(self, model: str, task: Task) -> Path:
        """An .npz file of the very batches that a worker measures with: x (batches, batch size, ...) and y."""
        file = self.logs / f"{model} {task}.npz"
        if file.is_file():
            return file
        arrays = self.arrays(model)
        x, y, count = (
            (arrays.x_train, arrays.y_train, RING) if task == "train" else (arrays.x_val, arrays.y_val, 8 * RING)
        )
        taken = list(itertools.islice(batches(x, y, BATCH_SIZE[task], SEED, 0), count))
        scratch = file.with_name(f"{threading.get_ident()}.npz")  # another thread may be at the same
        np.savez(scratch, x=np.stack([batch.x for batch in taken]), y=np.stack([batch.y for batch in taken]))
        scratch.replace(file)
        return file

    def run(
        self,
        framework: str,
        model: str,
        task: Task,
        measure: Measure,
        known: Calibration | None,
        process: str = "",
        takes_turns: bool = True,
    ) -> Running[Record]:
        """One trial, without real training; process: a name for it, if others like it run at the same time. Raises RuntimeError
        with the reason if it does not end well."""
        trial = Trial(
            framework=framework,
            model=model,
            dataset="digits",
            device="cpu",
            batch_size=BATCH_SIZE[task],
            precision="fp32",
            execution="default",
            task=task,
            block=1,
            num_epochs=0,
            seed=SEED,
            threads=self.threads,
            measure=measure,
        )
        job = Job(
            trial=trial,
            model=self.registry.models[model].source,
            data=str(self.data(model)),
            calibration=known,
            takes_turns=takes_turns,
        )
        log = self.logs / f"{trial.label}{process}.log"
        setting = Setting(python=sys.executable, time_limit_s=TIME_LIMIT_S, log=log)
        record = record_of(job, (yield from local.run(trial_request(job), setting)), "")
        if record.status != "ok":
            raise RuntimeError(f"{trial.label}: {record.reason}")
        return record

    def calibration(self, framework: str, model: str, task: Task, measure: Measure) -> Calibration:
        """k and the warm-up, from a process of their own."""
        record = run_alone(self.run(framework, model, task, measure, None, takes_turns=False))
        assert record.measured.calibration is not None
        return record.measured.calibration
