"""`mlbench plugins --check`: loads every framework plugin in a worker of its own; what is wrong, and what to do about it."""

from __future__ import annotations

from attrs import frozen

from mlbench_core.executor import Outcome, Run
from mlbench_core.hookspecs import FrameworkInfo
from mlbench_core.installed import CORE, DISABLE, Found, Installed
from mlbench_core.runner.asking import answer, inspect_all


@frozen(kw_only=True)
class Checked:
    """What came of loading a framework plugin.

    info: what the framework says of itself, None if it cannot be used; then `problem` says why and what to do. printed: the
    first line that its plugin printed while it was imported, empty if it printed nothing.
    """

    plugin: Found
    info: FrameworkInfo | None
    problem: str = ""
    printed: str = ""

    def as_data(self) -> dict[str, str]:
        """Its name, distribution and version, and what was found, as a sentence."""
        if self.info is None:
            found = f"broken: {self.problem}"
        else:
            found = f"ok: version {self.info.version} on {', '.join(self.info.devices)}"
        if self.printed:
            found += f"; its import prints {self.printed!r}: take that out of {self.plugin.module}"
        name, distribution, version = self.plugin.name, self.plugin.distribution, self.plugin.version
        return {"name": name, "distribution": distribution, "version": version, "found": found}


def check_frameworks(installed: Installed, run: Run, device: str) -> list[Checked]:
    """Loads every framework plugin whose name is claimed once by the executor `run`."""
    outcomes = inspect_all(run, installed.usable, device)
    return [_checked(plugin, outcomes[name]) for name, plugin in installed.usable.items()]


def _checked(plugin: Found, outcome: Outcome) -> Checked:
    info, problem = answer(outcome)
    if info is None:
        return Checked(plugin=plugin, info=None, problem=f"{problem}; {_advice(plugin)}")
    lines = [line.strip() for line in outcome.answer.get("printed", "").splitlines() if line.strip()]
    return Checked(plugin=plugin, info=info, printed=lines[0][:100] if lines else "")


def _advice(plugin: Found) -> str:
    if plugin.distribution == CORE:
        return "reinstall it"
    mend = f"upgrade or reinstall {plugin.distribution} and what it needs"
    return f"{mend}, or set {DISABLE}={plugin.distribution} to do without"
