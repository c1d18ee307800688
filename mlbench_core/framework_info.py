"""What a framework says of itself, and what it refuses by that; plugins import it from `hookspecs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from mlbench_core.devices import kind_of

if TYPE_CHECKING:
    from mlbench_core.trial import Plan


@frozen(kw_only=True)
class FrameworkInfo:
    """What a framework is and offers on the device it was given.

    name: as users type it. version: of the framework. versions: of what else matters to its numbers (compiler, runtime).
    devices: those it sees, "cpu" or "cuda:0" ... precisions and executions: names a Plan may carry. default_execution: what
    this framework's users run when they ask for nothing. data_parallel: kinds of devices ("cpu", "cuda") of which several can
    share each batch in training; BatchNorm's statistics are then over the whole batch, in every framework. across_nodes: the
    same of devices of several nodes.
    """

    name: str
    version: str
    devices: tuple[str, ...]
    precisions: tuple[str, ...]
    executions: tuple[str, ...]
    default_execution: str
    versions: dict[str, str] = field(factory=dict)
    data_parallel: tuple[str, ...] = ()
    across_nodes: tuple[str, ...] = ()

    def runs_on(self, device: str) -> bool:
        """Whether a device is of a kind that the framework sees; which of that kind it is, the worker decides."""
        return kind_of(device) in {kind_of(mine) for mine in self.devices}

    def refusal(self, precision: str, execution: str) -> str:
        """Why the framework cannot run a precision or an execution on its device; empty if it can."""
        asked = (("precision", precision, self.precisions), ("execution", execution, self.executions))
        for what, name, offered in asked:
            if name not in offered and (what, name) != ("execution", "default"):
                return f"{self.name} on {', '.join(self.devices)} offers no {what} {name!r}, only {', '.join(offered)}"
        return ""

    def device_refusal(self, plan: Plan, advice: str) -> str:
        """Why the framework cannot run on the plan's device; empty if it can. advice: how to get a build that can."""
        kind = kind_of(plan.device)
        if problem := self.group_refusal(plan):
            return problem
        if kind == "cpu":
            return "tf32 needs a GPU: use fp32 on the CPU" if plan.precision == "tf32" else ""
        seen = [device for device in self.devices if kind_of(device) == kind]
        if len(seen) >= plan.num_devices:
            return ""
        if seen:
            return f"{self.name} {self.version} sees {', '.join(seen)} only, fewer than {plan.device!r} names"
        sees = f"{self.name} {self.version} sees no device {plan.device!r}"
        if kind == "mps":
            return f"{sees}: it needs macOS on Apple silicon; use 'cpu'"
        return f"{sees}: use 'cpu', or {advice} and check that nvidia-smi lists the GPU"

    def group_refusal(self, plan: Plan) -> str:
        """Why the framework cannot train on several devices of the plan's kind together; empty if it can, or need not."""
        if plan.num_devices == 1:
            return ""
        if kind_of(plan.device) not in self.data_parallel:
            kinds = " and ".join(self.data_parallel) or "no"
            return f"{self.name} cannot train on {plan.device!r} together: it shares batches among {kinds} devices"
        if plan.batch_size % plan.num_devices:
            return f"a batch of {plan.batch_size} cannot be shared equally by the {plan.num_devices} devices of {plan.device!r}"
        return ""

    def nodes_refusal(self, device: str) -> str:
        """Why the framework cannot train on such devices of several nodes together; empty if it can."""
        if kind_of(device) in self.across_nodes:
            return ""
        if self.across_nodes:
            return f"{self.name} cannot train on {device!r} of several nodes, only on {' and '.join(self.across_nodes)}"
        kinds = " and ".join(self.data_parallel)
        more = f": it shares batches among {kinds} devices of one node" if kinds else ""
        return f"{self.name} cannot train on several nodes{more}"
