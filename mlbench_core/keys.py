"""What each key of a configuration may hold, and the one line that says what is wrong with a value.

Only the form is checked (types, sizes, known keys); whether a model or a framework of that name exists is known to the
registry and checked when the trials are made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from attrs import fields_dict

from mlbench_core.devices import normalized
from mlbench_core.entry import Entry, is_label
from mlbench_core.errors import ConfigError, show, unknown
from mlbench_core.nodes import NodeKind, node_kinds
from mlbench_core.thresholds import Compare, ExtendUntil, Limits, Measure

PRECISIONS = ("default", "fp32", "tf32", "bf16", "fp16", "fp64")
ALL_PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
"""What `all` means for precision: those that people train in."""
EXECUTIONS = ("default", "eager", "graph", "compiled")
TASKS = ("train", "infer")
PHASES = (
    "start", "setup", "first_step", "warmup", "measure", "read_back", "step_latency", "train", "evaluate", "save", "latency",
    "teardown", "peak",
)  # fmt: skip
"""Of a trial, in their order; those between read_back and teardown are of one task."""
PROFILES: dict[str, dict[str, Any]] = {
    "defaults": {"precision": ("default",), "execution": ("default",)},
    "matched": {"execution": ("compiled",)},
    "tuned": {"execution": ("compiled",)},
}
"""What a profile sets. defaults: what each framework's users run, its own choice of TF32 included. matched: the configuration's
precision, and every framework compiled. tuned: the same, and what each framework's own performance guide tells its users."""


def check(data: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The data with every value in its final type. Raises ConfigError naming key, value and what would be right."""
    checked = {}
    at = f"{where}: " if where else ""
    for key, value in data.items():
        if key in REMOVED:
            if value:  # an older results file has it empty
                raise ConfigError(f"{at}{key}: {REMOVED[key]}")
            continue
        if key not in _CHECKS:
            raise ConfigError(at + unknown("key", key, _CHECKS))
        try:
            checked[key] = _CHECKS[key](value)
        except _WrongError as error:
            raise ConfigError(f"{at}{key}: {error}") from None
    return checked


class _WrongError(Exception):
    """What is wrong with a value; `check` adds where."""


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise _WrongError(f"{show(value)} is not a name; a text is wanted")
    if "\0" in value or any(
        "\ud800" <= each <= "\udfff" for each in value
    ):  # the latter: half of a pair, from an escape
        raise _WrongError(f"{show(value)} holds a character that no path can have")
    return value


LARGEST_WHOLE = 2**32 - 1
"""The largest seed that every framework takes; nothing that is counted here comes near."""
LONGEST_S = 1e9
"""Thirty years; a timer of the standard library takes no more than ten times as many seconds."""


def _numeric(value: object) -> object:
    """The number that a text holds: options of the command line are texts, and so is 1e3 in YAML. Other values as they are."""
    if isinstance(value, str) and re.fullmatch(r"[-+]?[0-9]+", value):
        return int(value) if len(value) <= 40 else float(value)
    if isinstance(value, str) and re.fullmatch(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", value):
        return float(value)
    return value


def _whole(low: int, high: int = LARGEST_WHOLE) -> Callable[[object], int]:
    def whole(value: object) -> int:
        number = _numeric(value)
        if isinstance(number, float) and number.is_integer() and number <= high:
            number = int(number)  # 1e3
        if isinstance(number, bool) or not isinstance(number, int) or number < low:
            shown = show(number if isinstance(number, int) else value)
            raise _WrongError(f"{shown} is not a whole number of at least {low}")
        if number > high:
            raise _WrongError(f"{show(value)} is more than {high}")
        return number

    return whole


def _seconds(value: object) -> float:
    number = _numeric(value)
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not number >= 0:
        raise _WrongError(f"{show(value)} is not a number of seconds")
    if number > LONGEST_S:
        raise _WrongError(f"{show(value)} is more than {LONGEST_S:.0e} seconds")
    return float(number)


def _list(item: Callable[[object], Any], example: str) -> Callable[[object], tuple[Any, ...]]:
    def items(value: object) -> tuple[Any, ...]:
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        if not values or value is None:
            raise _WrongError(f"the list is empty; give at least one, such as {example}")
        return tuple(dict.fromkeys(item(each) for each in values))  # a value given twice runs once

    return items


def _options(value: object) -> dict[str, str | int | float | bool]:
    if not isinstance(value, Mapping):
        raise _WrongError(f"{show(value)} is not a mapping, such as {{address: auto}}")
    for each in value.values():
        if not isinstance(each, (str, int, float)):
            raise _WrongError(f"{show(each)} is not a text, a number, true or false")
    return {_text(name): each for name, each in value.items()}


def _choice(known: tuple[str, ...], what: str) -> Callable[[object], str]:
    def choice(value: object) -> str:
        if _text(value) not in known:
            raise _WrongError(unknown(what, value, known))
        return str(value)

    return choice


def _device(value: object) -> str:
    name = normalized(_text(value))
    if name is None:
        raise _WrongError(
            f"unknown device {show(value)}. A device is cpu, cuda:0, mps or all; several that share each batch are cuda:0-1, "
            "cuda:* or cpu*2"
        )
    return name


def _batch_size(value: object) -> int | str:
    if value == "auto":
        return "auto"
    try:
        return _whole(1)(value)
    except _WrongError as error:
        raise _WrongError(f"{error}, nor auto" if "whole number" in str(error) else str(error)) from None


def _yes_or_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise _WrongError(f"{show(value)} is neither true nor false")
    return value


def _per_phase(value: object) -> float | dict[str, float] | None:
    if value is None or not isinstance(value, Mapping):
        return None if value is None else _seconds(value)
    phase = _choice(PHASES, "phase")
    return {phase(name): _seconds(each) for name, each in value.items()}


def _per_model(item: Callable[[object], Any]) -> Callable[[object], Any]:
    def per_model(value: object) -> Any:
        if not isinstance(value, Mapping):
            return item(value)
        if not value:
            raise _WrongError("the mapping is empty; give one value, or one per model")
        return {_text(model): item(each) for model, each in value.items()}

    return per_model


def _number(value: object) -> float:
    """A number that is not negative, or a percentage as text: "1%" is 0.01."""
    text = value.strip() if isinstance(value, str) else ""
    try:
        number = float(text[:-1]) / 100 if text.endswith("%") else float(value)  # type: ignore[arg-type]  # caught below
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if isinstance(value, bool) or not 0 <= number < float("inf"):
        raise _WrongError(f"{show(value)} is not a number of at least 0, nor a percentage such as '1%'")
    return number


LEAST = {"warmup_steps": 0, "steady_limit": 0, "latency_steps": 0}
"""Counts that may be zero; the others are at least 1."""


def _settings(kind: type) -> Callable[[object], Any]:
    """A checker for a class of thresholds, given as a mapping; keys that are left out keep their defaults."""
    checks = {
        name: _whole(LEAST.get(name, 1)) if attribute.type in (int, "int") else _number
        for name, attribute in fields_dict(kind).items()
    }

    def settings(value: object) -> Any:
        if isinstance(value, kind):
            return value
        if not isinstance(value, Mapping):
            raise _WrongError(f"{show(value)} is not a mapping of {', '.join(checks)}")
        checked = {}
        for key, each in value.items():
            if key not in checks:
                raise _WrongError(unknown("key", key, checks))
            try:
                checked[key] = checks[key](each)
            except _WrongError as error:
                raise _WrongError(f"{key}: {error}") from None
        return kind(**checked)

    return settings


def _optional(item: Callable[[object], Any]) -> Callable[[object], Any]:
    return lambda value: None if value is None else item(value)


ENTRY = "{name: FRAMEWORK, python: envs/old/bin/python, label: old}"


def _entry(value: object) -> str | Entry:
    """A framework's name, or a mapping that says more of it; one that holds no more than the name is the name."""
    if isinstance(value, Entry):
        value = {"name": value.name, "python": value.python or None, "label": value.label or None}
    if not isinstance(value, Mapping):
        return _text(value)
    for key in value:
        if key not in ("name", "python", "label"):
            raise _WrongError(unknown("key", key, ("name", "python", "label")) + f". An entry is a name or {ENTRY}")
    found = {key: _text(each) for key, each in value.items() if each is not None}
    if "name" not in found:
        raise _WrongError(f"{show(dict(value))} has no name; an entry is a name or {ENTRY}")
    if found["name"] == "all":
        raise _WrongError("'all' takes neither python nor label; name a framework")
    if not is_label(found.get("label", "x")):
        raise _WrongError(
            f"label: {show(found['label'])} is not letters, digits and . _ + -, 40 at most, such as old-2.1"
        )
    return Entry(**found) if len(found) > 1 else found["name"]


def _nodes(value: object) -> tuple[NodeKind, ...]:
    try:
        return node_kinds(value)
    except ValueError as error:
        raise _WrongError(str(error)) from None


REMOVED = {
    "interpreters": f"is no key any more: an entry of frameworks names its interpreter, such as frameworks: [{ENTRY}]"
}
"""Keys that there were, and what to write instead."""

_CHECKS: dict[str, Callable[[object], Any]] = {
    "frameworks": _list(_entry, "[all]"),
    "models": _list(_text, "[mlp]"),
    "devices": _list(_device, "[cpu]"),
    "batch_sizes": _list(_batch_size, "[32]"),
    "batch_per_device": _yes_or_no,
    "num_epochs": _per_model(_whole(1)),
    "dataset": _per_model(_text),
    "optimizer": _optional(_per_model(_text)),
    "loss": _optional(_per_model(_text)),
    "precision": _list(_choice((*PRECISIONS, "all"), "precision"), "[fp32]"),
    "execution": _list(_choice((*EXECUTIONS, "all"), "execution"), "[default]"),
    "tasks": _list(_choice(TASKS, "task"), "[train, infer]"),
    "profile": _optional(_choice(tuple(PROFILES), "profile")),
    "blocks": _whole(1, 10_000),
    "extend_until": _optional(_settings(ExtendUntil)),
    "inference_batch_size": _whole(1),
    "seed": _whole(0),
    "threads": _optional(_whole(1)),
    "time_limit_s": _seconds,
    "phase_limit_s": _per_phase,
    "data_dir": _optional(_text),
    "output": _text,
    "executor": _text,
    "executor_options": _options,
    "nodes": _optional(_nodes),
    "num_nodes": _whole(1, 1000),
    "node_lost_retries": _whole(0, 1000),
    "measure": _settings(Measure),
    "compare": _settings(Compare),
    "limits": _settings(Limits),
}
