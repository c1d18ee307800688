"""Finds plugins by entry point, loads them by name, and binds a framework's hooks.

Entry-point metadata is read without importing anything. The parent loads the light group `mlbench.plugins` into a
`Registry`; a worker loads exactly one framework into a `Framework`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy
from attrs import field, frozen

from mlbench_core.architecture import Architecture
from mlbench_core.errors import PluginError, UnsupportedError, unknown
from mlbench_core.hookspecs import (
    DatasetDescriptor,
    ExecutorDescriptor,
    FrameworkSpec,
    ModelDescriptor,
    PluginSpec,
    ReporterDescriptor,
)
from mlbench_core.trial import ModelSource, Plan

FRAMEWORKS, PLUGINS = "mlbench.frameworks", "mlbench.plugins"
REFERENCE = "numpy"
"""The reference framework: it comes with the core, and `all` means it only where no other is installed."""

# Install hints: the only place where the core knows a framework by its name.
INSTALL_HINTS = {"pytorch": "mlbench-torch", "tensorflow": "mlbench-tf", "jax": "mlbench-jax"}
ALIASES = {hint.removeprefix("mlbench-"): name for name, hint in INSTALL_HINTS.items()}
"""A framework answers to the short name of its distribution, too."""

# A framework can run without these; who needs them says so.
OPTIONAL_HOOKS = {"worker_environment", "inference_mode", "gradients", "memory_probe", "read_knobs", "compilations"}


@frozen
class Found:
    """An installed plugin as its metadata tells: nothing was imported."""

    name: str
    module: str
    distribution: str
    version: str
    group: str


def find(group: str) -> dict[str, Found]:
    """The installed plugins of a group by name, without those named in MLBENCH_DISABLE_PLUGINS (comma-separated).

    The same distribution seen twice on the path counts once. Raises PluginError if two distributions claim one name.
    """
    blocked = {name.strip() for name in os.environ.get("MLBENCH_DISABLE_PLUGINS", "").split(",")}
    found: dict[str, Found] = {}
    for entry in entry_points(group=group):
        plugin = _found(entry)
        other = found.get(entry.name)
        if other and other.distribution != plugin.distribution:
            raise PluginError(
                f"{other.distribution} and {plugin.distribution} both provide the {group} plugin {entry.name!r}: "
                "uninstall one of them"
            )
        if entry.name not in blocked:
            found.setdefault(entry.name, plugin)
    return dict(sorted(found.items()))


def _found(entry: EntryPoint) -> Found:
    name, version = (entry.dist.name, entry.dist.version) if entry.dist else ("unknown", "")
    return Found(entry.name, entry.value, name, version, entry.group)


def framework_name(name: str, installed: dict[str, Found]) -> str:
    """The full name behind a name or an alias. Raises PluginError that says what is installed and what to install."""
    name = ALIASES.get(name, name)
    if name in installed:
        return name
    if name in INSTALL_HINTS:
        raise PluginError(
            f"frameworks: {name!r} is not installed (installed: {', '.join(installed)}). "
            f"Install it with: python -m pip install {INSTALL_HINTS[name]}"
        )
    raise PluginError("frameworks: " + unknown("framework", name, {*installed, *INSTALL_HINTS}))


def attribute(path: str) -> Any:
    """What an import string "package.module:name" names. Raises PluginError that names the string and the cause."""
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:
        raise PluginError(f"cannot load {path!r}: {type(error).__name__}: {error}") from error


class Framework:
    """The one framework of this process: each hook of `FrameworkSpec` as an attribute, bound once to the plugin's function.

    A direct call costs 0.05 us where a pluggy call costs 1.2 us, and a hook call's cost would depend on what else is loaded.
    """

    def __init__(self, module: object, label: str, name: str = "") -> None:
        self.name = name
        manager = pluggy.PluginManager("mlbench")
        manager.add_hookspecs(FrameworkSpec)
        try:
            manager.register(module)
            manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginError(f"{label} does not fit the contract: {error}") from None
        missing = []
        for name in (name for name in vars(FrameworkSpec) if not name.startswith("_")):
            caller = getattr(manager.hook, name)
            implementations = caller.get_hookimpls()
            if implementations:
                setattr(self, name, _bound(implementations[0], caller.spec.argnames))
            elif name in OPTIONAL_HOOKS:
                setattr(self, name, _absent(name, label))
            else:
                missing.append(name)
        if missing:
            raise PluginError(f"{label} lacks the hooks {', '.join(missing)}: see mlbench_core/hookspecs.py")
        self.hooks = {name for name in OPTIONAL_HOOKS if getattr(manager.hook, name).get_hookimpls()}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise AttributeError(name)


def _bound(implementation: pluggy.HookImpl, names: list[str]) -> Callable[..., Any]:
    function: Callable[..., Any] = implementation.function
    if list(implementation.argnames) == list(names):
        return function
    places = [names.index(name) for name in implementation.argnames]  # it takes fewer parameters, or in another order
    return lambda *values: function(*(values[place] for place in places))


def _absent(name: str, label: str) -> Callable[..., Any]:
    def absent(*_: object) -> Any:
        raise UnsupportedError(f"{label} does not implement the hook {name}")

    return absent


def build_model(framework: Framework, source: ModelSource, architecture: Architecture, plan: Plan) -> Any:
    """The framework's native model: the source's own for this framework if it has one, else what the framework lowers.

    Registers the source's own lowerings first. Raises UnsupportedError if nobody builds it.
    """
    name = framework.name
    if name in source.lowerings:
        importlib.import_module(source.lowerings[name])
    model = attribute(source.native[name])(architecture, plan) if name in source.native else None
    if model is None:
        model = framework.build_model(architecture, plan)
    if model is None:
        raise UnsupportedError(f"{name} cannot build {architecture.name}: no build_model takes it")
    return model


def load_framework(name: str) -> Framework:
    """Imports and binds the framework plugin of that name; in a worker only.

    Raises PluginError if it is not installed, fails to import or does not fit the contract.
    """
    found = find(FRAMEWORKS)
    plugin = found[framework_name(name, found)]
    label = f"the framework plugin {plugin.name!r} ({plugin.distribution} {plugin.version})"
    try:
        module = importlib.import_module(plugin.module)
    except Exception as error:
        raise PluginError(f"{label} failed to import: {type(error).__name__}: {error}") from error
    return Framework(module, label, plugin.name)


@frozen
class Registry:
    """Everything the parent's plugins registered, by name, and the plugins that could not be loaded."""

    models: dict[str, ModelDescriptor]
    datasets: dict[str, DatasetDescriptor]
    reporters: dict[str, ReporterDescriptor]
    executors: dict[str, ExecutorDescriptor]
    hook: Any
    broken: dict[str, str] = field(factory=dict)

    def model(self, name: str) -> ModelDescriptor:
        """The model of that name or alias. Raises PluginError that lists the models there are."""
        for descriptor in self.models.values():
            if name == descriptor.name or name in descriptor.aliases:
                return descriptor
        aliases = (alias for descriptor in self.models.values() for alias in descriptor.aliases)
        raise PluginError("models: " + unknown("model", name, {*self.models, *aliases}))


def load_registry(folder: Path) -> Registry:
    """Loads the parent's plugins and `mlbenchfile.py` of `folder`, if there is one.

    A plugin that fails to import warns, with its distribution and error, and stops nobody else. Raises PluginError if two
    plugins register one name.
    """
    manager = pluggy.PluginManager("mlbench")
    manager.add_hookspecs(PluginSpec)
    broken = {}
    for plugin in find(PLUGINS).values():
        try:
            manager.register(importlib.import_module(plugin.module), plugin.name)
        except Exception as error:
            broken[plugin.name] = f"{type(error).__name__}: {error}"
            warnings.warn(
                f"plugin {plugin.name!r} of {plugin.distribution} was left out: {broken[plugin.name]}", stacklevel=2
            )
    local = folder / "mlbenchfile.py"
    if local.is_file():
        manager.register(_import_file(local), "mlbenchfile")
    manager.check_pending()
    return Registry(
        models=_collect(manager, "register_models", "model"),
        datasets=_collect(manager, "register_datasets", "data set"),
        reporters=_collect(manager, "register_reporters", "reporter"),
        executors=_collect(manager, "register_executors", "executor"),
        hook=manager.hook,
        broken=broken,
    )


def _import_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("mlbenchfile", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise PluginError(f"{path} failed to import: {type(error).__name__}: {error}") from error
    sys.modules["mlbenchfile"] = module
    return module


def _collect(manager: pluggy.PluginManager, hook: str, what: str) -> dict[str, Any]:
    named: dict[str, Any] = {}
    owner: dict[str, str] = {}
    for implementation in reversed(getattr(manager.hook, hook).get_hookimpls()):
        for descriptor in implementation.function():
            for name in (descriptor.name, *getattr(descriptor, "aliases", ())):
                if name in owner:
                    raise PluginError(
                        f"plugins {owner[name]!r} and {implementation.plugin_name!r} both register the {what} {name!r}: "
                        "disable one with MLBENCH_DISABLE_PLUGINS"
                    )
                owner[name] = implementation.plugin_name
            named[descriptor.name] = descriptor
    return named
