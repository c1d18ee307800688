"""Results of runs that nobody made: small, of every sort that a reporter meets, and the same at each call."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mlbench_core.config import Config
from mlbench_core.record import Epoch, Measured, MemoryReading, Observed, Record
from mlbench_core.results import Results
from mlbench_core.trial import Calibration, Task, Trial
from mlbench_core.verify.rungs import ParityResult, Rung

FRAMEWORKS = ("one", "two")
"""Made up, as all is here. The second takes twice the time."""
HOSTILE = "<b>&|[/]*_`\x1b[31m"
"""A reason with markup, a table's bar and an escape sequence in it."""
FACTS = {"system": "made", "python": "3.11", "cpu": "made", "cpu_count": 2, "memory_bytes": 8 * 10**9, "gpus": []}


def whole() -> Results:
    """Two frameworks, two blocks, training and inference, all of it well."""
    records = tuple(
        _record(framework, task, block) for block in range(2) for framework in FRAMEWORKS for task in ("train", "infer")
    )
    return _results(records)


def failed() -> Results:
    """One framework fails for a reason that no table, page or terminal likes."""
    return _results(tuple(_failed(r) if r.trial.framework == "two" else r for r in whole().records))


def interrupted() -> Results:
    """Ended by its user after the first trial."""
    return _results(whole().records[:1], interrupted=True)


def unverified() -> Results:
    """Nothing was verified."""
    return _results(whole().records, parity=False)


def empty() -> Results:
    """Ended before the first trial."""
    return _results((), interrupted=True, parity=False)


RUNS: Mapping[str, Callable[[], Results]] = {
    "whole": whole,
    "failed": failed,
    "interrupted": interrupted,
    "unverified": unverified,
    "empty": empty,
}


def _results(records: tuple[Record, ...], *, interrupted: bool = False, parity: bool = True) -> Results:
    rung = Rung(number=3, name="forward", error=1e-15, tolerance=1e-10, where="logits")
    proofs = tuple(
        ParityResult(
            framework=name,
            model="mlp",
            device="cpu",
            digest="made",
            framework_version="1.0",
            rungs=(rung,),
            seconds=1.0,
        )
        for name in FRAMEWORKS
    )
    config = Config(
        frameworks=("all",), models=("mlp",), devices=("cpu",), batch_sizes=(32,), blocks=2, dataset="digits"
    )
    return Results(
        records=records,
        config=config.to_dict(),
        machines={"made": dict(FACTS)},
        interrupted=interrupted,
        parity=proofs if parity else (),
    )


def _record(framework: str, task: Task, block: int) -> Record:
    train, size = task == "train", 32 if task == "train" else 1
    trial = Trial(
        framework=framework, model="mlp", dataset="digits", device="cpu", batch_size=size, precision="fp32",
        execution="default", task=task, block=block, num_epochs=0 if block or not train else 1, seed=0, threads=2,
    )  # fmt: skip
    step = 0.001 * (1 + FRAMEWORKS.index(framework)) * (1 + 0.01 * block)
    values = [100 * step * (1 + 0.001 * (place % 3)) for place in range(30)]
    measured = Measured(
        framework_version="1.0",
        execution="eager",
        num_parameters=300_000,
        flops_per_sample=10**6,
        phases={"start": 0.2, "setup": 1.0, "first_step": 0.5, "warmup": 3.0, "measure": sum(values)},
        first_step_s=0.1 if train else None,
        calibration=Calibration(steps_per_value=100, warmup_steps=50),
        values=values,
        turns=[15, 15],
        steady=True,
        compilations=0,
        step_latencies=[step] * 120 if train else [],
        latencies=[] if train else [step] * 700,
        query_turns=[] if train else [700],
        memory=[MemoryReading("host_peak", 10**8)],
        peak_flops=1e11,
        epochs=[_epoch(step)] if trial.num_epochs else [],
        final_train_accuracy=0.99 if trial.num_epochs else None,
        final_val_accuracy=0.95 if trial.num_epochs else None,
        model_size_bytes=1_204_264 if trial.num_epochs else None,
        reload_difference=0.0 if trial.num_epochs else None,
    )
    return Record(
        trial=trial, status="ok", measured=measured, observed=Observed(wall_s=5.0), machine="made",
        started="2026-11-01T00:00:00+00:00", log=f"logs/{trial.label}.log",
    )  # fmt: skip


def _epoch(step: float) -> Epoch:
    seconds = 44 * step
    return Epoch(
        seconds=seconds, loss=0.5, data_wait_s=0.05 * seconds, placement_s=0.05 * seconds, dispatch_s=0.9 * seconds,
        device_wait_s=0.0, samples=44 * 32,
    )  # fmt: skip


def _failed(record: Record) -> Record:
    return Record(trial=record.trial, status="failed", reason=f"ValueError: {HOSTILE}", machine="made", log=record.log)
