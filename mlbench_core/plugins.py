"""Loads a framework's plugin and binds its hooks, in a worker: exactly one, into a `Framework`.

The parent's own plugins are `registry`'s.
"""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

import pluggy
from attrs import evolve

from mlbench_core.architecture import Architecture, Loss, Shape, UpdateRule
from mlbench_core.errors import MlbenchError, PluginError, UnsupportedError, in_one_line
from mlbench_core.hookspecs import FrameworkSpec
from mlbench_core.installed import FRAMEWORKS, Found, find, framework_name
from mlbench_core.trial import LossSource, ModelSource, OptimizerSource, Plan

T = TypeVar("T")

# A framework can run without these; who needs them says so.
OPTIONAL_HOOKS = {"worker_environment", "inference_mode", "gradients", "memory_probe", "read_knobs", "compilations"}


def attribute(path: str) -> Any:
    """What an import string "package.module:name" names. Raises PluginError that names the string and the cause."""
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:
        raise PluginError(f"cannot load {path!r}: {in_one_line(error)}") from error


class Framework(FrameworkSpec):
    """The one framework of this process: each hook of `FrameworkSpec` as an attribute, bound once to the plugin's function.

    A direct call costs 0.05 us where a pluggy call costs 1.2 us, and a hook call's cost would depend on what else is loaded. A
    subclass of the contract, so that a type checker holds every call to the hook's own signature; none of its bodies is called.

    num_nodes: how many nodes share each batch, see `worker.leading`. on_build: told of each model that was built for it.
    """

    num_nodes = 1

    def __init__(self, module: object, label: str, name: str = "") -> None:
        self.name, self.label = name, label
        self.on_build: Callable[[Any, ModelSource, Architecture], None] = lambda _model, _source, _architecture: None
        manager = pluggy.PluginManager("mlbench")
        manager.add_hookspecs(FrameworkSpec)
        try:
            manager.register(module)
            manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginError(f"{label} does not fit the contract: {' '.join(str(error).split())}") from None
        missing = []
        for hook in (hook for hook in vars(FrameworkSpec) if not hook.startswith("_")):
            caller = getattr(manager.hook, hook)
            implementations = caller.get_hookimpls()
            if implementations:
                setattr(self, hook, _bound(implementations[0], caller.spec.argnames))
            elif hook in OPTIONAL_HOOKS:
                setattr(self, hook, _absent(hook, label))
            else:
                missing.append(hook)
        if missing:
            raise PluginError(f"{label} lacks the hooks {', '.join(missing)}: see mlbench_core/hookspecs.py")
        self.hooks = {name for name in OPTIONAL_HOOKS if getattr(manager.hook, name).get_hookimpls()}


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


def build_architecture(source: ModelSource, input_shape: Shape, num_classes: int) -> Architecture:
    """The architecture that a model's factory makes. Raises PluginError, one line that names the factory, if it does not."""
    built = _made(Architecture, "model's factory", source.factory, input_shape, num_classes)
    if source.optimizer is not None:
        built = evolve(built, optimizer=build_rule(source.optimizer))
    return built if source.loss is None else evolve(built, loss=build_loss(source.loss))


def build_rule(source: OptimizerSource) -> UpdateRule:
    """The rule of an optimiser. Raises PluginError, one line that names the function, if it makes none."""
    return _made(UpdateRule, "optimiser's function", source.rule)


def build_loss(source: LossSource) -> Loss:
    """A loss. Raises PluginError, one line that names the function, if it makes none."""
    return _made(Loss, "loss's function", source.loss)


def _made(kind: type[T], what: str, function: str, *values: object) -> T:
    """What a plugin's function returns. Raises PluginError if it raises, or returns something else than `kind`."""
    call = attribute(function)
    try:
        made = call(*values)
    except MlbenchError:
        raise
    except Exception as error:
        raise PluginError(f"the {what} {function!r} raised {in_one_line(error)}") from error
    if not isinstance(made, kind):
        raise PluginError(f"the {what} {function!r} returned a {type(made).__name__}, not of type {kind.__name__}")
    return made


def build_model(framework: Framework, source: ModelSource, architecture: Architecture, plan: Plan) -> Any:
    """The framework's native model: the source's own for this framework if it has one, else what the framework lowers.

    Registers the source's own lowerings first. Raises UnsupportedError if nobody builds it.
    """
    name = framework.name
    register_lowerings(source, name)
    model = native_model(source, name, architecture, plan)
    if model is None:
        model = framework.build_model(architecture, plan)
    if model is None:
        raise UnsupportedError(f"{name} cannot build {architecture.name}: no build_model takes it")
    framework.on_build(model, source, architecture)
    return model


def native_model(source: ModelSource, framework: str, architecture: Architecture, plan: Plan) -> Any:
    """What the source's own build for a framework makes of the architecture; None if it has none, or leaves this one.

    Raises PluginError, one line that names the build, if it raises.
    """
    path = source.native.get(framework)
    if path is None:
        return None
    build = attribute(path)
    try:
        return build(architecture, plan)
    except MlbenchError:
        raise
    except Exception as error:
        raise PluginError(f"the model's native build {path!r} raised {in_one_line(error)}") from error


def register_lowerings(source: ModelSource, framework: str) -> None:
    """Has the source's own layers, optimiser and loss registered for a framework."""
    for registering in (source, source.optimizer, source.loss):
        if registering is not None and framework in registering.lowerings:
            _register(registering.lowerings[framework])


def _register(lowerings: str) -> None:
    """Has lowerings of layers, an optimiser or a loss registered: by importing a module, or by calling a function of one."""
    if ":" in lowerings:
        attribute(lowerings)()
    else:
        importlib.import_module(lowerings)


def load_framework(name: str) -> Framework:
    """Imports and binds the framework plugin of that name; in a worker only.

    Raises PluginError if it is not installed, disabled, claimed twice, fails to import or does not fit the contract.
    """
    installed = find(FRAMEWORKS)
    plugin = installed.usable[framework_name(name, installed)]
    label = _label(plugin)
    try:
        module = importlib.import_module(plugin.module)
    except (Exception, SystemExit) as error:
        raise PluginError(f"{label} failed to import: {in_one_line(error)}") from error
    return Framework(module, label, plugin.name)


def _label(plugin: Found) -> str:
    return f"the framework plugin {plugin.name!r} ({plugin})"


def reason(error: BaseException) -> str:
    """What an exception says, in one line, and before it the framework's hook and the plugin that it came out of, if it did.

    It is the hook that was called by the core: the outermost one, where hooks call each other.
    """
    line = in_one_line(error)
    for frame, _ in traceback.walk_tb(error.__traceback__):
        name = frame.f_code.co_name
        if hasattr(frame.f_globals.get(name), "mlbench_impl"):  # what `hookimpl` leaves on a function
            return f"{name} of {_owner(str(frame.f_globals.get('__name__')))} raised {line}"
    return line


def _owner(module: str) -> str:
    """The plugin that a module belongs to: it is the one of its entry point, or lies in the same package."""
    package = module.partition(".")[0]
    plugins = [plugin for plugin in find(FRAMEWORKS).enabled if plugin.module.partition(".")[0] == package]
    plugins.sort(key=lambda plugin: plugin.module != module)
    return _label(plugins[0]) if plugins else f"the module {module}"
