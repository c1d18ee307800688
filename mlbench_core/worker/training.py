"""Training for real: E epochs over the data set, and the accuracy that comes of it."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from mlbench_core.data import Arrays, batches, evaluation_batches
from mlbench_core.plugins import Framework
from mlbench_core.record import Epoch
from mlbench_core.trial import Trial
from mlbench_core.worker.ahead import LARGE, read_ahead

IN_FLIGHT = 32
"""Steps queued before the loop waits for the device. A queue without end would hold every batch in the device's memory; one
wait in so many steps costs less than a hundredth of one step each."""


def train(framework: Framework, session: Any, arrays: Arrays, trial: Trial, emit: Callable[..., None]) -> list[Epoch]:
    """Trains for the trial's epochs, placement included; tells the parent how far it is about twice a second."""
    steps = len(arrays.y_train) // trial.batch_size
    epochs = []
    for epoch in range(trial.num_epochs):
        wait = place = dispatch = device = 0.0
        handles = []
        source = batches(arrays.x_train, arrays.y_train, trial.batch_size, trial.seed, epoch)
        if arrays.x_train.nbytes > LARGE:
            source = read_ahead(source)
        start = told = perf_counter()
        for i in range(steps):
            before = perf_counter()
            batch = next(source)
            loaded = perf_counter()
            placed = framework.place_batch(session, batch)
            at = perf_counter()
            wait, place = wait + loaded - before, place + at - loaded
            handles.append(framework.train_step(session, placed))
            returned = perf_counter()
            dispatch += returned - at
            if i % IN_FLIGHT == IN_FLIGHT - 1:
                framework.synchronize(session, handles[-1])
                device += perf_counter() - returned
            if at - told > 0.5:
                emit("progress", done=epoch * steps + i, total=trial.num_epochs * steps)
                told = at
        before = perf_counter()
        framework.synchronize(session, handles[-1])
        end = perf_counter()
        seconds, device = end - start, device + end - before
        loss = float(np.mean([framework.to_numpy(session, handle) for handle in handles]))
        epochs.append(
            Epoch(
                seconds=seconds,
                loss=loss,
                data_wait_s=wait,
                placement_s=place,
                dispatch_s=dispatch,
                device_wait_s=device,
                samples=steps * trial.batch_size,
            )
        )
    return epochs


def accuracy(
    framework: Framework, session: Any, x: npt.NDArray[Any], y: npt.NDArray[np.int32], batch_size: int
) -> float:
    """The share of samples whose largest logit is the label's, in evaluation mode, over all samples."""
    right = 0
    for batch, valid in evaluation_batches(x, y, batch_size):
        logits = framework.to_numpy(session, framework.infer(session, framework.place_batch(session, batch)))
        right += int(np.sum(np.argmax(logits[:valid], axis=1) == batch.y[:valid]))
    return right / len(y)
