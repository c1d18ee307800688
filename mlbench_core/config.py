"""YAML, JSON or keyword arguments -> a validated Config; the shipped configurations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import asdict, evolve, field, frozen

from mlbench_core.errors import ConfigError
from mlbench_core.keys import PROFILES, check, show
from mlbench_core.thresholds import Compare, ExtendUntil, Flags, Measure

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
        raise ConfigError(f"{path}: the file must hold keys and values such as 'models: [mlp]', not {show(data)}")
    return data
