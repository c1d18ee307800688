"""YAML, JSON or keyword arguments -> a validated Config; the shipped configurations.

Only the form is checked here (types, sizes, known keys); whether a model or a framework of that name exists is known to the
registry and checked when the trials are made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import asdict, evolve, field, fields_dict, frozen

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
SHIPPED = Path(__file__).parent / "configs"


@frozen
class Config:
    """What to run. Every list is crossed with every other; `dataset` and `num_epochs` may be mappings by model.

    `all` in frameworks means every installed one (the NumPy reference only where it is alone), in models every registered
    one, in devices the CPU and every GPU, in precision fp32, tf32, bf16 and fp16, in execution whatever each framework offers.
    """

    frameworks: tuple[str, ...] = ("all",)
    models: tuple[str, ...] = ("mlp",)
    devices: tuple[str, ...] = ("cpu",)
    batch_sizes: tuple[int, ...] = (32,)
    num_epochs: int | dict[str, int] = 5
    dataset: str | dict[str, str] = "digits"
    precision: tuple[str, ...] = ("fp32",)
    execution: tuple[str, ...] = ("default",)
    profile: str | None = None
    blocks: int = 1
    extend_until: ExtendUntil | None = None
    """Add blocks until intervals are narrow enough; None: `blocks` and no more."""
    inference_batch_size: int = 1
    seed: int = 0
    threads: int | None = None
    """Threads per worker; None: as many as this process may use."""
    time_limit_s: float = 3600.0
    data_dir: str | None = None
    output: str = "results"
    executor: str = "local"
    interpreters: dict[str, str] = field(factory=dict)
    """Per framework, the Python interpreter of its workers; without an entry, the one that runs mlbench."""
    measure: Measure = field(factory=Measure)
    compare: Compare = field(factory=Compare)
    flags: Flags = field(factory=Flags)

    @classmethod
    def parse(cls, data: Mapping[str, Any], where: str = "") -> Config:
        """A Config from plain data (file contents, keyword arguments); missing keys get their defaults.

        where: what the data came from, for the message. Raises ConfigError that names the key, the value and what would do.
        """
        given = check(data, where)
        return cls(**given)._in_profile(given)

    @classmethod
    def load(cls, name: str) -> Config:
        """The configuration in a YAML or JSON file, or the shipped one of that name ("quick_test")."""
        return cls.parse(read(name), find(name).name)

    def replace(self, **changes: Any) -> Config:
        """A copy with some keys changed, checked like any other data."""
        given = check(changes, "")
        return evolve(self, **given)._in_profile(given)

    def _in_profile(self, given: Mapping[str, Any]) -> Config:
        """With what the profile sets. Raises ConfigError if something else was `given` for it."""
        wanted = PROFILES.get(self.profile or "", {})
        for key, value in wanted.items():
            if given.get(key, value) != value:
                raise ConfigError(
                    f"{key}: the profile {self.profile!r} sets it to {value[0]}; leave one of the two out"
                )
        return evolve(self, **wanted)

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain data, as `parse` takes it."""
        data: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return {key: value for key, value in data.items() if value is not None}

    def for_model(self, key: str, model: str, names: tuple[str, ...]) -> Any:
        """The value of `dataset` or `num_epochs` for a model, which a mapping may call by any of `names`, or else "default".

        Raises ConfigError if a mapping holds nothing for the model.
        """
        value = getattr(self, key)
        if not isinstance(value, dict):
            return value
        for name in (model, *names, "default"):
            if name in value:
                return value[name]
        raise ConfigError(f"{key}: nothing for model {model!r}; it has {', '.join(value)}. Add {model!r} or 'default'")


def shipped() -> list[str]:
    """The names of the configurations that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def find(name: str) -> Path:
    """The file behind a path or a shipped name. Raises ConfigError if there is none."""
    path = Path(name)
    if path.is_file():
        return path
    inside = SHIPPED / f"{name}.yaml"
    if "/" not in name and inside.is_file():
        return inside
    raise ConfigError(f"--config: no file {name!r}, and no shipped configuration of that name ({', '.join(shipped())})")


def read(name: str) -> dict[str, Any]:
    """The keys in a configuration file. Raises ConfigError on a missing, unreadable or malformed file."""
    import yaml  # takes a tenth of a second: only who reads a file pays

    path = find(name)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise ConfigError(f"{path}: not valid YAML or JSON{at}: {problem}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: the file must hold keys and values such as 'models: [mlp]', not {_show(data)}")
    return data


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


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise _WrongError(f"{_show(value)} is not a name; a text is wanted")
    return value


def _whole(low: int) -> Callable[[object], int]:
    def whole(value: object) -> int:
        if isinstance(value, str) and value.lstrip("-").isdigit():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise _WrongError(f"{_show(value)} is not a whole number of at least {low}")
        return value

    return whole


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise _WrongError(f"{_show(value)} is not a number of seconds")
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
        raise _WrongError(f"{_show(value)} is not a number of at least 0, nor a percentage such as '1%'")
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
            raise _WrongError(f"{_show(value)} is not a mapping of {', '.join(checks)}")
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
        raise _WrongError(f"{_show(value)} is not a mapping of framework to interpreter")
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
