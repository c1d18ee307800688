"""One trial of mlbench's own worker in a fresh process, outside a run: what the benchmarks time against."""

from __future__ import annotations

import itertools
import os
import sys
import threading
from pathlib import Path

import numpy as np

from mlbench_core.data import Arrays, batches, open_prepared, prepare
from mlbench_core.environment import cache_folder
from mlbench_core.plugins import Registry, load_registry
from mlbench_core.runner.local import ExecutorSetting, execute
from mlbench_core.runner.turns import Play, alone
from mlbench_core.thresholds import Measure
from mlbench_core.trial import Calibration, Job, Record, Task, Trial
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

    def play(
        self,
        framework: str,
        model: str,
        task: Task,
        measure: Measure,
        known: Calibration | None,
        process: str = "",
        takes_turns: bool = True,
    ) -> Play[Record]:
        """One trial, without real training; process: a name for it, if others like it run at the same time. Raises RuntimeError
        with the reason if it does not end well."""
        trial = Trial(
            framework,
            model,
            "digits",
            "cpu",
            BATCH_SIZE[task],
            "fp32",
            "default",
            task,
            1,
            SEED,
            0,
            self.threads,
            measure,
        )
        job = Job(trial, self.registry.models[model].source, str(self.data(model)), "", known, takes_turns)
        log = self.logs / f"{trial.label}{process}.log"
        record = yield from execute(job, ExecutorSetting(sys.executable, TIME_LIMIT_S, log))
        if record.status != "ok":
            raise RuntimeError(f"{trial.label}: {record.reason}")
        return record

    def calibration(self, framework: str, model: str, task: Task, measure: Measure) -> Calibration:
        """k and the warm-up, from a process of their own."""
        record = alone(self.play(framework, model, task, measure, None, takes_turns=False))
        assert record.measured.calibration is not None
        return record.measured.calibration
