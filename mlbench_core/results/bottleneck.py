"""What a real training epoch spends its time on, in shares and in words."""

from __future__ import annotations

from statistics import median

from attrs import frozen

from mlbench_core.devices import kind_of
from mlbench_core.record import Record

LAUNCH_BOUND = 0.90
"""If asking for a step takes this share of a steady step, even with an idle device, the device cannot be the slower one
(own)."""


@frozen(kw_only=True)
class Shares:
    """Shares of an epoch, in [0, 1].

    data: waiting for the next batch. placement: moving it to the device. dispatch: asking for the step, as long as that
    takes with an idle device; None on the CPU, where asking and computing are one. device: computing, whatever the host does
    meanwhile; where steps are launch-bound, only the time that the host waits. So on an accelerator that is the slower one
    they overlap, and else they are together 1 but for the loop itself.
    launch: asking for a step over a step, steady or by itself, whichever is faster; None on the CPU.
    """

    data: float
    placement: float
    dispatch: float | None
    device: float
    launch: float | None = None

    @property
    def words(self) -> str:
        """What a person needs to know."""
        kinds = {"data": self.data, "placement": self.placement, "device": self.device}
        if self.launch is not None and self.launch >= LAUNCH_BOUND:  # else asking is hidden behind computing
            kinds["dispatch"] = self.dispatch or 0.0
        largest = max(kinds, key=lambda name: kinds[name])
        said = {
            "data": "input-bound: {:.0%} of the epoch waits for data",
            "placement": "transfer-bound: {:.0%} of the epoch moves batches to the device",
            "dispatch": "launch-bound: {:.0%} of the epoch goes into asking for steps, the device waits",
            "device": "compute-bound: {:.0%} of the epoch is the device's",
        }
        return said[largest].format(kinds[largest])


def shares(record: Record) -> Shares | None:
    """The shares of a training record's epochs together; None if nothing was trained.

    While the queue to a device is full, whatever asks it for something waits: train_step, and in some frameworks the placement
    of a batch, too. So dispatch counts only as long as a call took when the device was idle (`step_dispatches`, their median),
    and how long the device computes comes from the steady steps, if it is the slower one there. It is not where asking takes
    about as long as the whole step. That is looked at in steady steps and in those that were waited for one by one: the device
    computes for longer in neither, and noise of the host can only hide it in one of them.
    """
    epochs = record.measured.epochs
    total = sum(epoch.seconds for epoch in epochs)
    if not total:
        return None
    inside = sum(epoch.dispatch_s for epoch in epochs)
    waited = sum(epoch.device_wait_s for epoch in epochs)
    dispatch, launch, computing = None, None, waited + inside
    if kind_of(record.trial.device) != "cpu" and record.measured.step_dispatches:
        steps = sum(epoch.samples for epoch in epochs) / record.trial.batch_size
        call, step = median(record.measured.step_dispatches), record.seconds_per_step()
        dispatch, launch = min(inside, steps * call), call / min(step, median(record.measured.step_latencies or [step]))
        computing = waited + inside - dispatch if launch >= LAUNCH_BOUND else min(total, steps * step)
    return Shares(
        data=sum(epoch.data_wait_s for epoch in epochs) / total,
        placement=sum(epoch.placement_s for epoch in epochs) / total,
        dispatch=None if dispatch is None else dispatch / total,
        device=computing / total,
        launch=launch,
    )
