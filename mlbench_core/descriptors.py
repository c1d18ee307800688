"""What a plugin registers: named values whose heavy part is an import string; and the check that each is what it should be.

Plugins import these from `hookspecs`, where the hooks that return them are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from attrs import frozen, has

from mlbench_core.errors import show
from mlbench_core.trial import LossSource, ModelSource, OptimizerSource

Takes = Literal["image", "vector", "tokens"]
Kind = Literal["image", "vector", "tokens", "any"]


@frozen(kw_only=True)
class ModelDescriptor:
    """A model in the registry. `takes` says what its input is; data sets are adapted to it.

    takes: "image" (height, width, channels), "vector" (features,), "tokens" (length,). min_image: an image smaller than
    this is enlarged to it. verified_image: height and width of the images that parity is proven on; small, for float64 is
    slow, and large enough that training is well-conditioned. max_length: longest sequence of tokens.
    """

    name: str
    source: ModelSource
    takes: Takes
    description: str
    aliases: tuple[str, ...] = ()
    min_image: int = 1
    verified_image: int = 32
    max_length: int = 512


@frozen(kw_only=True)
class DatasetDescriptor:
    """A data set in the registry.

    load: "package.module:function", called as function(request: data.DataRequest) and returning a data.Dataset.
    kind: "image", "vector" or "tokens": what its samples are before they are adapted; "any": whatever the model takes.
    files: "package.module:function", called as function(request) and returning the paths of all files and folders whose content
    decides what `load` returns, whether they are there yet or not; `data.no_files` if its code alone decides. What was prepared
    is then used again until one of them, or the code of `load`, changes. None: `load` is called in every run.
    """

    name: str
    load: str
    kind: Kind
    description: str
    files: str | None = None


@frozen(kw_only=True)
class OptimizerDescriptor:
    """A rule to train with, which the configuration's `optimizer` names."""

    name: str
    source: OptimizerSource
    description: str


@frozen(kw_only=True)
class LossDescriptor:
    """What training makes smaller, which the configuration's `loss` names."""

    name: str
    source: LossSource
    description: str


@frozen
class ReporterDescriptor:
    """Something that writes files from a run's results.

    write: "package.module:function", called as function(results: mlbench_core.Results, folder: Path) and returning the paths
    that it wrote.
    """

    name: str
    write: str
    description: str


@frozen(kw_only=True)
class ExecutorDescriptor:
    """Something that has workers do what is asked of them: here, in a container, on a cluster.

    run: "package.module:function", an `executor.Run`: called as function(request, setting), returns a generator. machine:
    "package.module:function", called without arguments before a run starts; returns the facts about the machine that workers
    run on, as `machine.facts.machine_facts` gives them. An outcome may name another machine.

    options: the keys of the configuration's `executor_options` that it takes. connect: "package.module:function", called as
    function(options) before anything else is asked of the executor, and again when a place was lost; returns the
    `executor.Place`s in which it can have requests done at the same time. None: there is one place, and there are no options.
    """

    name: str
    run: str
    machine: str
    description: str
    options: tuple[str, ...] = ()
    connect: str | None = None


NAME = (
    re.compile(r"(?!-|(?:all|default)$)[^\s,:/=]+"),
    "a name: one word without , : / or =, and not 'all' or 'default'",
)
FUNCTION = re.compile(r"[\w.]+:\w+"), "an import string 'package.module:name'"
LOWERINGS = (
    re.compile(r"[\w.]+(:\w+)?"),
    "a module's name 'package.module', or a function of one, 'package.module:name'",
)
FORMS = {
    "name": NAME, "aliases": NAME, "load": FUNCTION, "files": FUNCTION, "write": FUNCTION, "run": FUNCTION, "machine": FUNCTION,
    "options": NAME, "connect": FUNCTION,
    "factory": FUNCTION, "rule": FUNCTION, "loss": FUNCTION, "native": FUNCTION, "lowerings": LOWERINGS,
}  # fmt: skip
"""What the texts in a field must look like."""


def fault(descriptor: object) -> str:
    """The first field that does not hold what its class says: its path, its value, and what is wanted. Empty if all is well."""
    return next(_faults(descriptor, ""), "")


def _faults(value: Any, at: str) -> Iterator[str]:
    for name, kind in _kinds(type(value)).items():
        yield from _wrong(getattr(value, name), kind, f"{at}{name}", FORMS.get(name))


def _kinds(descriptor: type) -> dict[str, Any]:
    return get_type_hints(descriptor)


def _wrong(value: Any, kind: Any, at: str, form: tuple[re.Pattern[str], str] | None) -> Iterator[str]:
    origin = get_origin(kind)
    if origin is UnionType:  # something, or None
        if value is not None:
            (something,) = set(get_args(kind)) - {NoneType}
            yield from _wrong(value, something, at, form)
    elif origin is Literal:
        if value not in get_args(kind):
            yield f"{at} is {show(value)}, not one of {', '.join(get_args(kind))}"
    elif not isinstance(value, origin or kind) or isinstance(value, bool):
        yield f"{at} is {show(value)}, not of type {(origin or kind).__name__}"
    elif origin is tuple:
        for place, item in enumerate(value):
            yield from _wrong(item, str, f"{at}[{place}]", form)
    elif origin is dict:
        for key, item in value.items():
            yield from _wrong(key, str, f"a key of {at}", None)
            yield from _wrong(item, str, f"{at}[{key!r}]", form)
    elif has(kind):
        yield from _faults(value, f"{at}.")
    elif kind is int and value < 1:
        yield f"{at} is {value}, not at least 1"
    elif form and not form[0].fullmatch(value):
        yield f"{at} is {show(value)}, not {form[1]}"
