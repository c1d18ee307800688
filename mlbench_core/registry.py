"""What the parent's plugins register, and their hooks around a run.

Each plugin has a pluggy manager of its own, so that what goes wrong in one costs nobody else: it is warned of in one line that
names the plugin and the hook, and what that hook would have given is left out. A run fails only if it asks for that.
"""

from __future__ import annotations

import importlib
import io
import warnings
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import pluggy
from attrs import evolve, field, frozen

from mlbench_core.descriptors import fault
from mlbench_core.errors import PluginError, in_one_line, unknown
from mlbench_core.hookspecs import (
    DatasetDescriptor,
    ExecutorDescriptor,
    LossDescriptor,
    ModelDescriptor,
    OptimizerDescriptor,
    PluginSpec,
    ReporterDescriptor,
)
from mlbench_core.installed import CORE, DISABLE, PLUGINS, find, how_to_choose, is_disabled
from mlbench_core.localfile import LOCAL, LocalFolder, enter

MODEL, DATASET, REPORTER, EXECUTOR = "model", "data set", "reporter", "executor"
OPTIMIZER, LOSS = "optimiser", "loss"
REGISTERED: dict[str, tuple[str, type]] = {
    MODEL: ("models", ModelDescriptor),
    DATASET: ("datasets", DatasetDescriptor),
    REPORTER: ("reporters", ReporterDescriptor),
    EXECUTOR: ("executors", ExecutorDescriptor),
    OPTIMIZER: ("optimizers", OptimizerDescriptor),
    LOSS: ("losses", LossDescriptor),
}
"""What plugins register: by kind, the field of `Registry`, which ends the hook's name, and the class of the descriptors."""
AROUND = ("run_started", "trial_started", "trial_finished", "run_finished")
"""The hooks of `PluginSpec` that register nothing."""

T = TypeVar("T")


@frozen(kw_only=True)
class Loaded:
    """A plugin that was imported and fits the contract.

    label: for messages. name: of its entry point. owner: its distribution, or what else disables it. version: of that.
    """

    label: str
    name: str
    owner: str
    version: str
    manager: pluggy.PluginManager


@frozen(kw_only=True, eq=False)
class Registry:
    """Everything that the parent's plugins registered, by name.

    faults: a line for each thing that went wrong and was left out. faulty and contested: why a name of a kind (MODEL, DATASET
    ...) cannot be used: its descriptor is wrong, or several plugins claim it. owners: the label of the plugin behind each name.
    local: the folder of the `mlbenchfile.py` that was asked, if there was one.
    """

    models: dict[str, ModelDescriptor]
    datasets: dict[str, DatasetDescriptor]
    reporters: dict[str, ReporterDescriptor]
    executors: dict[str, ExecutorDescriptor]
    optimizers: dict[str, OptimizerDescriptor]
    losses: dict[str, LossDescriptor]
    plugins: tuple[Loaded, ...]
    faults: tuple[str, ...]
    faulty: dict[tuple[str, str], str]
    contested: dict[tuple[str, str], str]
    owners: dict[tuple[str, str], str]
    local: LocalFolder | None = None
    _silent: set[tuple[str, str]] = field(factory=set, init=False)

    def model(self, name: str) -> ModelDescriptor:
        """The model of that name or alias. Raises PluginError: why it cannot be used, or the models there are."""
        names = {alias: model for model in self.models.values() for alias in (*model.aliases, model.name)}
        return self._named("models", MODEL, name, names)

    def dataset(self, name: str, hint: str = "") -> DatasetDescriptor:
        """The data set of that name. Raises PluginError as `model` does, and for an unknown name a hint at the end."""
        return self._named("dataset", DATASET, name, self.datasets, hint)

    def executor(self, name: str) -> ExecutorDescriptor:
        """The executor of that name. Raises PluginError as `model` does."""
        return self._named("executor", EXECUTOR, name, self.executors)

    def optimizer(self, name: str) -> OptimizerDescriptor:
        """The optimiser of that name. Raises PluginError as `model` does."""
        return self._named("optimizer", OPTIMIZER, name, self.optimizers)

    def loss(self, name: str) -> LossDescriptor:
        """The loss of that name. Raises PluginError as `model` does."""
        return self._named("loss", LOSS, name, self.losses)

    def trained_with(self, model: str, optimizer: str, loss: str) -> ModelDescriptor:
        """The model of that name, trained with the optimiser and the loss of those names; with its own where one is empty."""
        descriptor = self.models[model]
        changes: dict[str, Any] = {"optimizer": self.optimizers[optimizer].source} if optimizer else {}
        changes |= {"loss": self.losses[loss].source} if loss else {}
        return evolve(descriptor, source=evolve(descriptor.source, **changes))

    def added_by(self, plugin: Loaded) -> list[str]:
        """What a plugin adds: "model mlp" and the like, and "hook run_finished" for each hook around a run."""
        named = [f"{kind} {name}" for (kind, name), label in self.owners.items() if label == plugin.label]
        around = [hook for hook in AROUND if getattr(plugin.manager.hook, hook).get_hookimpls()]
        return named + [f"hook {hook}" for hook in around]

    def enter(self) -> None:
        """Makes import strings mean what they mean in this registry's folder, whichever was at work in this process before."""
        enter(self.local)

    def as_it_is_now(self) -> AbstractContextManager[None]:
        """Inside, import strings mean what the files of this registry's folder hold now, see `LocalFolder`."""
        return nullcontext() if self.local is None else self.local.as_it_is_now()

    def _named(self, key: str, kind: str, name: str, names: dict[str, T], hint: str = "") -> T:
        """key: of the configuration, for the message."""
        why = self.contested.get((kind, name))
        if name in names and not why:
            return names[name]
        why = why or self.faulty.get((kind, name)) or unknown(kind, name, names, hint)
        raise PluginError(f"{key}: {why}")

    def tell(self, hook: str, **values: object) -> None:
        """Calls a hook of every plugin that has it. One that raises is warned of, and not called again."""
        for plugin in self.plugins:
            if (plugin.label, hook) in self._silent:
                continue
            try:
                getattr(plugin.manager.hook, hook)(**values)
            except (Exception, SystemExit) as error:
                self._silent.add((plugin.label, hook))
                warnings.warn(
                    f"{plugin.label}: {hook} raised {in_one_line(error)}; it is not called again", stacklevel=2
                )


def load_registry(folder: Path) -> Registry:
    """Loads the parent's plugins, the core's first, and `mlbenchfile.py` of `folder`, if there is one.

    Warns of each that goes wrong, in one line, and never raises for one.
    """
    faults: list[str] = []
    local = LocalFolder(folder)
    used = local if local.file.is_file() and not is_disabled(LOCAL) else None
    enter(None)  # a plugin is not to find its imports in the folder of another registry
    plugins = tuple(_plugins(used, faults))
    found = {
        kind: _collect(plugins, f"register_{names}", kind, descriptor, faults)
        for kind, (names, descriptor) in REGISTERED.items()
    }
    usable: dict[str, Any] = {names: found[kind].usable for kind, (names, _) in REGISTERED.items()}
    for line in faults:
        warnings.warn(line, stacklevel=2)
    return Registry(
        **usable,
        plugins=plugins,
        faults=tuple(faults),
        faulty={(kind, name): line for kind in found for name, line in found[kind].faulty.items()},
        contested={(kind, name): line for kind in found for name, line in found[kind].contested.items()},
        owners={(kind, name): label for kind in found for name, label in found[kind].owners.items()},
        local=used,
    )


def _plugins(local: LocalFolder | None, faults: list[str]) -> Iterator[Loaded]:
    """The plugins that can be imported and fit the contract."""
    for found in sorted(find(PLUGINS).enabled, key=lambda plugin: plugin.distribution != CORE):
        label, owner = f"plugin {found.name!r} of {found}", found.distribution
        try:
            with _unheard(f"{label}: its import", faults):
                manager = _manager(importlib.import_module(found.module))
            yield Loaded(label=label, name=found.name, owner=owner, version=found.version, manager=manager)
        except (Exception, SystemExit) as error:
            advice = "reinstall it" if owner == CORE else f"upgrade it, or set {DISABLE}={owner}"
            faults.append(f"{label} is left out: {in_one_line(error)}; {advice}")
    if local is not None:
        try:
            with _unheard(f"{local.file}: its import", faults):
                manager = _manager(local.load())
            yield Loaded(label=local.file.name, name=local.file.name, owner=LOCAL, version="", manager=manager)
        except (Exception, SystemExit) as error:
            faults.append(f"{local.file} is left out: {in_one_line(error)}; mend it, or move it away")


@contextmanager
def _unheard(who: str, faults: list[str]) -> Iterator[None]:
    """Keeps what is printed inside from standard output, which may be JSON that a program reads; appends to `faults`."""
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        lines = [line.strip() for line in printed.getvalue().splitlines() if line.strip()]
        if lines:
            faults.append(f"{who} prints {lines[0][:100]!r}, which is left out; take that out of its code")


def _manager(module: ModuleType) -> pluggy.PluginManager:
    """A manager with this plugin alone. Raises PluginError for an unknown hook or a parameter that it lacks."""
    manager = pluggy.PluginManager("mlbench")
    manager.add_hookspecs(PluginSpec)
    try:
        manager.register(module)
        manager.check_pending()
    except pluggy.PluginValidationError as error:  # its message has several lines
        raise PluginError(f"it does not fit the contract: {' '.join(str(error).split())}") from None
    return manager


@frozen(kw_only=True)
class _Collected:
    """The descriptors of one kind; see `Registry`."""

    usable: dict[str, Any] = field(factory=dict)
    owners: dict[str, str] = field(factory=dict)
    faulty: dict[str, str] = field(factory=dict)
    contested: dict[str, str] = field(factory=dict)


def _collect(plugins: Iterable[Loaded], hook: str, kind: str, descriptor: type[T], faults: list[str]) -> _Collected:
    """What the plugins register with a hook; appends to `faults`."""
    found = _Collected()
    claims: dict[str, list[Loaded]] = {}
    registered: list[tuple[Loaded, Any]] = []
    for plugin in plugins:
        for each in _answers(plugin, hook, descriptor, faults):
            wrong = fault(each)
            name = str(getattr(each, "name", ""))
            if wrong:
                found.faulty[name] = f"{plugin.label}: the {kind} {name!r} cannot be used: {wrong}"
                faults.append(found.faulty[name])
                continue
            if kind == REPORTER and name in claims:  # nobody asks for a reporter by name: the first one stays
                first = claims[name][0].label
                faults.append(f"{plugin.label}: its reporter {name!r} is left out, for {first} has one of that name")
                continue
            registered.append((plugin, each))
            for claimed in dict.fromkeys((name, *getattr(each, "aliases", ()))):
                claims.setdefault(claimed, []).append(plugin)
    for name, owners in claims.items():
        if len(owners) > 1:
            found.contested[name] = _contest(kind, name, owners)
    for plugin, each in registered:
        if each.name not in found.contested:
            found.usable[each.name] = each
            found.owners[each.name] = plugin.label
    return found


def _answers(plugin: Loaded, hook: str, descriptor: type[T], faults: list[str]) -> list[T]:
    """What one plugin's hook returned, less what is no descriptor."""
    caller = getattr(plugin.manager.hook, hook)
    if not caller.get_hookimpls():
        return []
    try:
        with _unheard(f"{plugin.label}: {hook}", faults):
            answers = caller() or [None]  # pluggy drops None
    except (Exception, SystemExit) as error:
        faults.append(f"{plugin.label}: {hook} raised {in_one_line(error)}; what it registers is left out")
        return []
    wanted = f"not a list of {descriptor.__name__}; it is left out"
    if not isinstance(answers[0], (list, tuple)):
        faults.append(f"{plugin.label}: {hook} returned {_kind_of(answers[0])}, {wanted}")
        return []
    faults += [
        f"{plugin.label}: {hook} returned {_kind_of(each)} in its list, {wanted}"
        for each in answers[0]
        if not isinstance(each, descriptor)
    ]
    return [each for each in answers[0] if isinstance(each, descriptor)]


def _kind_of(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _contest(kind: str, name: str, owners: list[Loaded]) -> str:
    labels = list(dict.fromkeys(plugin.label for plugin in owners))
    if len(labels) == 1:
        return f"{labels[0]} registers the {kind} {name!r} twice: rename one"
    ours = next((plugin for plugin in owners if plugin.owner == LOCAL), None)
    advice = f"rename it in {ours.label}" if ours else how_to_choose(plugin.owner for plugin in owners)
    return f"the {kind} {name!r} is registered by {' and '.join(labels)}: {advice}"
