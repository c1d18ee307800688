"""The measured peak: how many operations per second a large matrix product reaches in this framework, on this device.

It stands beside the data sheet's number as the yardstick for MFU: the same process, the same settings, the same precision.
"""

from __future__ import annotations

from time import perf_counter

import numpy as np
from attrs import evolve

from mlbench_core.architecture import Architecture, Dense, Optimizer, Sequential, initial_weights
from mlbench_core.hookspecs import Batch
from mlbench_core.plugins import Framework, build_model
from mlbench_core.trial import ModelSource, Plan
from mlbench_core.worker.timing import Loop

SIZES = {"cpu": 1024, "cuda": 8192}
"""Rows, columns and batch of the product: large enough that it, not the traffic, takes the time; 2 GFLOP and 1.1 TFLOP."""
SECONDS = 0.3
"""Time to look for the fastest product after the first one."""


def measure_peak(framework: Framework, plan: Plan) -> float:
    """Floating-point operations per second of the fastest of several products of two square matrices, 2 n**3 each.

    The fastest, not the median: a peak is what the device can do when nothing holds it back.
    """
    n = SIZES[plan.device.partition(":")[0]]
    model = Architecture(
        name="product",
        root=Sequential({"product": Dense(n)}),
        input_shape=(n,),
        num_classes=n,
        optimizer=Optimizer(name="sgd", learning_rate=2**-5),
    )
    plan = evolve(plan, batch_size=n, task="infer", optimizer=model.optimizer)
    native = build_model(framework, ModelSource(factory=""), model, plan)
    session = framework.make_session(native, initial_weights(model, plan.seed), plan)
    x = np.random.default_rng(plan.seed).standard_normal((n, n), np.float32)
    loop = Loop(
        step=framework.infer,
        synchronize=framework.synchronize,
        session=session,
        batches=[framework.place_batch(session, Batch(x, np.zeros(n, np.int32)))],
    )
    loop.run(2)
    # A GPU raises its clock under load, and one product is too short for one synchronisation: several per value.
    k = max(1, round(0.05 / loop.run(1)))
    fastest = loop.run(k) / k
    end = perf_counter() + SECONDS
    while perf_counter() < end:
        fastest = min(fastest, loop.run(k) / k)
    framework.close_session(session)
    return model.flops("infer") * n / fastest
