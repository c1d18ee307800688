"""Complete results made by hand, the same at each call: what the report is tested with."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mlbench_core import Config, Results
from mlbench_core.devices import gpu_numbers, kind_of, number_of
from mlbench_core.record import Epoch, Measured, MemoryReading, Observed, Record, Timeline
from mlbench_core.trial import Calibration, Task, Trial
from mlbench_core.verify.rungs import ParityResult, Rung

SPEED = {"pytorch": 1.0, "tensorflow": 0.8, "jax": 1.25, "numpy": 0.2}
"""Training and inference speed relative to the first; a framework that is not here has 1."""
FIRST_STEP_S = {"pytorch": 0.05, "tensorflow": 1.5, "jax": 3.0}
SCALING = 0.95
"""Of linear, with two devices."""
MEMORY_MB = {"pytorch": 400, "tensorflow": 900, "jax": 550}
STEP_S = {"mlp": 0.001, "resnet18": 0.05, "bert-tiny": 0.01}
"""Of a step at batch 32 on the CPU at speed 1; a model that is not here takes 0.02."""
GPU = {
    "name": "NVIDIA H100 80GB HBM3", "uuid": "GPU-1", "memory_bytes": 85_520_809_984, "driver": "550.54", "processes": 0,
}  # fmt: skip
FACTS: dict[str, Any] = {
    "system": "Linux-6.1-x86_64", "python": "3.11.7", "cpu": "Made CPU @ 2.0 GHz", "cpu_simd": "avx512f", "cpu_count": 2,
    "cpu_physical": 2, "cpu_affinity": [0, 1], "cpu_mhz": 2000.0, "cpu_mhz_max": 3000.0, "governor": "performance",
    "memory_bytes": 24 * 10**9, "cpu_busy_pct": 1.0, "virtual_machine": None, "gpus": [],
    "versions": {"mlbench-core": "26.11.0"},
}  # fmt: skip


def made(
    frameworks: Sequence[str] = ("pytorch", "tensorflow", "jax"),
    models: Sequence[str] = ("mlp", "resnet18", "bert-tiny"),
    batch_sizes: Sequence[int] = (32, 64),
    blocks: int = 10,
    *,
    devices: Sequence[str] = ("cpu",),
    precisions: Sequence[str] = ("fp32",),
    executions: Sequence[str] = ("default",),
    noise: float = 0.01,
    queries: int = 700,
    values: int = 30,
    failed: Collection[str] = (),
    unstable: Collection[str] = (),
    not_comparable: Collection[str] = (),
    interrupted: bool = False,
    verified: bool = True,
) -> Results:
    """Results of a run over everything that is given. noise: standard deviation of the blocks' log speeds. failed, unstable,
    not_comparable: frameworks of which every trial failed, every number is spread out, every model differs."""
    rng = random.Random(0)
    records = []
    for block in range(blocks):
        for model in models:
            for device in devices:
                for precision in precisions:
                    for execution in executions:
                        for framework in frameworks:
                            cells: list[tuple[Task, int]] = [("train", size) for size in batch_sizes]
                            cells += [("infer", 1)] if number_of(device) == 1 else []
                            for task, size in cells:
                                trial = Trial(
                                    framework=framework, model=model, dataset="digits", device=device, batch_size=size,
                                    precision=precision, execution=execution, task=task, block=block,
                                    num_epochs=0 if block or task == "infer" else 2, seed=0, threads=2,
                                )  # fmt: skip
                                spread = 0.4 if framework in unstable else 0.002
                                records.append(
                                    _record(trial, rng, noise, spread, queries, values)
                                    if framework not in failed
                                    else Record(
                                        trial=trial,
                                        status="failed",
                                        reason="RuntimeError: made to fail",
                                        machine="made",
                                        log="results/logs/made.log",
                                    )
                                )
    if interrupted:
        records = records[: 2 * len(records) // 3]
    known = tuple(name for name in models if name.isprintable())
    config = Config(
        frameworks=("all",), models=known or ("all",), devices=tuple(devices), batch_sizes=tuple(batch_sizes),
        precision=tuple(precisions), execution=tuple(executions), blocks=blocks, dataset="digits",
    )  # fmt: skip
    parity = [
        _parity_result(framework, model, device, framework in not_comparable)
        for framework in frameworks
        for model in models
        for device in devices
    ]
    gpus = [GPU] * max(1 + max(gpu_numbers(device), default=-1) for device in devices)
    return Results(
        records=tuple(records),
        config=config.to_dict(),
        machines={"made": FACTS | {"gpus": gpus}},
        interrupted=interrupted,
        parity=tuple(parity) if verified else (),
    )


def _record(trial: Trial, rng: random.Random, noise: float, spread: float, queries: int, values: int) -> Record:
    speed = SPEED.get(trial.framework, 1.0) * (1.0 if kind_of(trial.device) == "cpu" else 20.0)
    speed *= SCALING ** (number_of(trial.device) - 1) * number_of(trial.device)
    speed *= {"bf16": 1.8, "fp16": 1.7}.get(trial.precision, 1.0) * (1.2 if trial.execution == "compiled" else 1.0)
    step = STEP_S.get(trial.model, 0.02) * (trial.batch_size / 32) ** 0.8 / speed
    step *= rng.lognormvariate(0, noise)
    k = max(1, round(0.1 / step))
    taken = [k * step * rng.lognormvariate(0, spread) for _ in range(values)]
    half = len(taken) // 2
    common: dict[str, Any] = {
        "framework_version": "1.0",
        "versions": {trial.framework: "1.0"},
        "execution": "eager" if trial.execution == "default" else trial.execution,
        "num_parameters": 300_000,
        "flops_per_sample": 10**6,
        "phases": {"start": 0.2, "setup": 1.0, "first_step": 0.5, "warmup": 3.0, "measure": sum(taken)},
        "calibration": Calibration(steps_per_value=k, warmup_steps=50),
        "values": taken,
        "turns": [half, len(taken) - half],
        "steady": True,
        "compilations": 0,
        "memory": _memory(trial),
        "knobs": {"threads": "2", "tf32": "off", "allocator": trial.framework},
        "peak_flops": 1e11,
    }
    if trial.task == "infer":
        latencies = [step * rng.lognormvariate(0, 0.05) for _ in range(queries)]
        measured = Measured(**common, latencies=latencies, query_turns=[len(latencies)])
    else:
        measured = Measured(
            **common,
            first_step_s=FIRST_STEP_S.get(trial.framework, 0.1) * rng.lognormvariate(0, 0.05),
            memory_during=[MEMORY_MB.get(trial.framework, 300) * 10**6] * len(taken),
            step_latencies=[1.02 * step * rng.lognormvariate(0, 0.03) for _ in range(130)],
            epochs=_epochs(step, trial),
            final_train_accuracy=0.99 if trial.num_epochs else None,
            final_val_accuracy=0.95 if trial.num_epochs else None,
            model_size_bytes=1_204_264 if trial.num_epochs else None,
            reload_difference=0.0 if trial.num_epochs else None,
        )
    return Record(
        trial=trial, status="ok", measured=measured, observed=_observed(trial), machine="made",
        started="2026-11-01T00:00:00+00:00", log=f"results/logs/{trial.label}.log",
    )  # fmt: skip


def _epochs(step: float, trial: Trial) -> list[Epoch]:
    steps = 1437 // trial.batch_size
    seconds = 1.1 * steps * step
    return [
        Epoch(
            seconds=seconds, loss=1.0 / (1 + number), data_wait_s=0.05 * seconds, placement_s=0.05 * seconds,
            dispatch_s=0.9 * seconds, device_wait_s=0.0, samples=steps * trial.batch_size,
        )
        for number in range(trial.num_epochs)
    ]  # fmt: skip


def _memory(trial: Trial) -> list[MemoryReading]:
    size = MEMORY_MB.get(trial.framework, 300) * 10**6 + 10**6 * trial.batch_size
    found = [MemoryReading("host_peak", size)]
    return found if kind_of(trial.device) == "cpu" else [*found, MemoryReading("live_tensors_peak", size // 2)]


def _observed(trial: Trial) -> Observed:
    peak = MEMORY_MB.get(trial.framework, 300) * 10**6
    gpu = kind_of(trial.device) != "cpu"
    line = Timeline(
        seconds=[0.1 * i for i in range(20)],
        phase=["setup"] * 5 + ["warmup"] * 5 + ["measure"] * 10,
        host_bytes=[peak * min(i + 1, 10) // 10 for i in range(20)],
        device_bytes=[peak // 2] * 20 if gpu else [],
        gpu_pct=[80.0] * 20 if gpu else [],
    )
    facts: Mapping[str, float] = {"energy_j": 5000.0, "energy_s": 20.0, "other_processes": 0.0} if gpu else {}
    return Observed(
        wall_s=5.0,
        host_average_bytes=0.9 * peak,
        device_average_bytes=peak / 2 if gpu else None,
        device_peak_bytes=peak / 2 if gpu else None,
        gpu_utilization_pct=80.0 if gpu else None,
        timeline=line,
        gpu=dict(facts),
    )


def _parity_result(framework: str, model: str, device: str, wrong: bool) -> ParityResult:
    rungs = (
        Rung(number=1, name="structure", error=0.0, tolerance=0.0),
        Rung(number=3, name="forward", error=0.5 if wrong else 1e-15, tolerance=1e-10, where="logits", found=1.5, expected=1.0),
    )  # fmt: skip
    return ParityResult(
        framework=framework, model=model, device=device, digest="abc", framework_version="1.0", rungs=rungs, seconds=1.0
    )
