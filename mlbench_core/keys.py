"""What each key of a configuration may hold, and the one line that says what is wrong with a value.

Only the form is checked (types, sizes, known keys); whether a model or a framework of that name exists is known to the
registry and checked when the trials are made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import fields_dict

from mlbench_core.errors import ConfigError, unknown
from mlbench_core.thresholds import Compare, ExtendUntil, Flags, Measure

PRECISIONS = ("default", "fp32", "tf32", "bf16", "fp16", "fp64")
ALL_PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
"""What `all` means for precision: those that people train in."""
EXECUTIONS = ("default", "eager", "graph", "compiled")
PROFILES: dict[str, dict[str, Any]] = {
    "defaults": {"precision": ("default",), "execution": ("default",)},
    "matched": {"execution": ("compiled",)},
}
"""What a profile sets. defaults: what each framework's users run, its own choice of TF32 included. matched: the configuration's
precision, and every framework compiled."""


def check(data: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The data with every value in its final type. Raises ConfigError naming key, value and what would be right."""
    checked = {}
    at = f"{where}: " if where else ""
    for key, value in data.items():
        if key not in _CHECKS:
            raise ConfigError(at + unknown("key", key, _CHECKS))
        try:
            checked[key] = _CHECKS[key](value)
        except _WrongError as error:
            raise ConfigError(f"{at}{key}: {error}") from None
    return checked


class _WrongError(Exception):
    """What is wrong with a value; `check` adds where."""


def show(value: object) -> str:
    """A value in a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise _WrongError(f"{show(value)} is not a name; a text is wanted")
    return value


def _whole(low: int) -> Callable[[object], int]:
    def whole(value: object) -> int:
        if isinstance(value, str) and value.lstrip("-").isdigit():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise _WrongError(f"{show(value)} is not a whole number of at least {low}")
        return value

    return whole


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise _WrongError(f"{show(value)} is not a number of seconds")
    return float(value)


def _list(item: Callable[[object], Any], example: str) -> Callable[[object], tuple[Any, ...]]:
    def items(value: object) -> tuple[Any, ...]:
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        if not values or value is None:
            raise _WrongError(f"the list is empty; give at least one, such as {example}")
        return tuple(dict.fromkeys(item(each) for each in values))  # a value given twice runs once

    return items


def _choice(known: tuple[str, ...], what: str) -> Callable[[object], str]:
    def choice(value: object) -> str:
        if _text(value) not in known:
            raise _WrongError(unknown(what, value, known))
        return str(value)

    return choice


def _device(value: object) -> str:
    name = _text(value)
    if name in ("cpu", "all") or (name.startswith("cuda:") and name[5:].isdigit()):
        return name
    if name in ("cuda", "gpu"):
        return "cuda:0"
    raise _WrongError(f"unknown device {name!r}. A device is cpu, cuda:0, cuda:1 ... or all")


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
    except (TypeError, ValueError):
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


def _interpreters(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise _WrongError(f"{show(value)} is not a mapping of framework to interpreter")
    return {_text(key): _text(each) for key, each in value.items()}


_CHECKS: dict[str, Callable[[object], Any]] = {
    "frameworks": _list(_text, "[all]"),
    "models": _list(_text, "[mlp]"),
    "devices": _list(_device, "[cpu]"),
    "batch_sizes": _list(_whole(1), "[32]"),
    "num_epochs": _per_model(_whole(1)),
    "dataset": _per_model(_text),
    "precision": _list(_choice((*PRECISIONS, "all"), "precision"), "[fp32]"),
    "execution": _list(_choice((*EXECUTIONS, "all"), "execution"), "[default]"),
    "profile": _optional(_choice(tuple(PROFILES), "profile")),
    "blocks": _whole(1),
    "extend_until": _optional(_settings(ExtendUntil)),
    "inference_batch_size": _whole(1),
    "seed": _whole(0),
    "threads": _optional(_whole(1)),
    "time_limit_s": _seconds,
    "data_dir": _optional(_text),
    "output": _text,
    "executor": _text,
    "interpreters": _interpreters,
    "measure": _settings(Measure),
    "compare": _settings(Compare),
    "flags": _settings(Flags),
}
