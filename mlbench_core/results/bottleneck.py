"""What a real training epoch spends its time on, in shares and in words."""

from __future__ import annotations

from statistics import median

from attrs import frozen

from mlbench_core.devices import kind_of
from mlbench_core.record import Record

WAITED_FOR = 0.10
"""On an accelerator: if the loop waits this share of the epoch for the device, the device was never idle for long (own)."""
LAUNCH_BOUND = 0.90
"""If asking for a step takes this share of a steady step, even with an idle device, the device cannot be the slower one
(own)."""


@frozen(kw_only=True)
class Shares:
    """Shares of an epoch, in [0, 1] and together 1 but for the loop itself.

    data: waiting for the next batch. placement: moving it to the device. dispatch: asking for the step, as long as that
    takes with an idle device; None on the CPU, where asking and computing are one. device: computing. launch: asking for a
    step over a steady step; None on the CPU.
    """

    data: float
    placement: float
    dispatch: float | None
    device: float
    launch: float | None = None

    @property
    def words(self) -> str:
        """What a person needs to know."""
        hidden = ""
        kinds = {
            "data": self.data,
            "placement": self.placement,
            "dispatch": self.dispatch or 0.0,
            "device": self.device,
        }
        largest = max(kinds, key=lambda name: kinds[name])
        launched = largest == "dispatch" and (self.launch or 0.0) >= LAUNCH_BOUND
        if self.dispatch is not None and self.device >= WAITED_FOR and largest != "device" and not launched:
            # The host ran ahead and then waited: what it did meanwhile cost nothing.
            hidden, largest = f" ({largest}, {kinds[largest]:.0%}, is hidden behind it)", "device"
        return {
            "data": f"input-bound: {self.data:.0%} of the epoch waits for data",
            "placement": f"transfer-bound: {self.placement:.0%} of the epoch moves batches to the device",
            "dispatch": f"launch-bound: {kinds['dispatch']:.0%} of the epoch goes into asking for steps, the device waits",
            "device": f"compute-bound: {self.device:.0%} of the epoch is the device's{hidden}",
        }[largest]


def shares(record: Record) -> Shares | None:
    """The shares of a training record's epochs together; None if nothing was trained.

    While the queue to a device is full, train_step itself waits. So dispatch counts only as long as a call took when the
    device was idle (`step_dispatches`, their median); the rest of the time inside train_step is the device's.
    """
    epochs = record.measured.epochs
    total = sum(epoch.seconds for epoch in epochs)
    if not total:
        return None
    inside = sum(epoch.dispatch_s for epoch in epochs)
    waited = sum(epoch.device_wait_s for epoch in epochs)
    dispatch = launch = None
    if kind_of(record.trial.device) != "cpu" and record.measured.step_dispatches:
        steps = sum(epoch.samples for epoch in epochs) / record.trial.batch_size
        call = median(record.measured.step_dispatches)
        dispatch, launch = min(inside, steps * call), call / record.seconds_per_step()
    return Shares(
        data=sum(epoch.data_wait_s for epoch in epochs) / total,
        placement=sum(epoch.placement_s for epoch in epochs) / total,
        dispatch=None if dispatch is None else dispatch / total,
        device=(waited + inside - (dispatch or 0.0)) / total,
        launch=launch,
    )
