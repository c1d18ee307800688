"""YAML, JSON or keyword arguments -> a validated Config; the shipped configurations."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from attrs import asdict, evolve, field, frozen

from mlbench_core.entry import Entry
from mlbench_core.errors import ConfigError, show
from mlbench_core.keys import PROFILES, check
from mlbench_core.nodes import NodeKind
from mlbench_core.thresholds import Compare, ExtendUntil, Limits, Measure

SHIPPED = Path(__file__).parent / "configs"
RESULTS_SCHEMA, CONFIG_KEY = "mlbench-results", '"config": '
HEAD_LINES, LONGEST_LINE = 12, 100_000
"""Of a results file: its configuration stands among so many lines, none of them longer."""


@frozen(kw_only=True)
class Config:
    """What to run. Every list is crossed with every other; `dataset` and `num_epochs` may be mappings by model.

    An entry of frameworks is a name, or says more of a framework, see `entry.Entry`.

    `all` in frameworks means every installed one (the NumPy reference only where it is alone), in models every registered
    one; in devices the CPU and every GPU, in precision fp32, tf32, bf16 and fp16, in execution eager, graph and compiled, of
    these three what each framework offers.
    """

    frameworks: tuple[str | Entry, ...] = ("all",)
    models: tuple[str, ...] = ("mlp",)
    devices: tuple[str, ...] = ("cpu",)
    batch_sizes: tuple[int | str, ...] = (32,)
    """Samples; "auto": the largest batch that fits in all arms of a group."""
    batch_per_device: bool = False
    """Whether several devices train on as many samples each as one would, and not on a share of them."""
    num_epochs: int | dict[str, int] = 5
    dataset: str | dict[str, str] = "digits"
    optimizer: str | dict[str, str] | None = None
    """What models are trained with; a model that a mapping does not name, and None: with its own."""
    loss: str | dict[str, str] | None = None
    """What training makes smaller; a model that a mapping does not name, and None: with its own."""
    precision: tuple[str, ...] = ("fp32",)
    execution: tuple[str, ...] = ("default",)
    tasks: tuple[str, ...] = ("train", "infer")
    """What is measured: training, inference, or both."""
    profile: str | None = None
    blocks: int = 1
    extend_until: ExtendUntil | None = None
    """Add blocks until intervals are narrow enough; None: `blocks` and no more."""
    inference_batch_size: int = 1
    seed: int = 0
    threads: int | None = None
    """Threads per worker; None: as many as this process may use."""
    time_limit_s: float = 3600.0
    phase_limit_s: float | dict[str, float] | None = None
    """Seconds for each phase of a trial, or for those of a mapping; None: no limit but the trial's."""
    data_dir: str | None = None
    output: str = "results"
    executor: str = "local"
    executor_options: dict[str, str | int | float | bool] = field(factory=dict)
    """What the executor takes besides, by its own names for it."""
    nodes: tuple[NodeKind, ...] | None = None
    """Kinds of node, each of which runs all trials; None: one kind, whatever nodes there are."""
    num_nodes: int = 1
    """How many nodes share each batch."""
    node_lost_retries: int = 1
    """How often a block is run again, elsewhere, because the node that it ran on was lost."""
    measure: Measure = field(factory=Measure)
    compare: Compare = field(factory=Compare)
    limits: Limits = field(factory=Limits)

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
        data["frameworks"] = [
            each if isinstance(each, str) else {key: value for key, value in each.items() if value}
            for each in data["frameworks"]
        ]
        if data["nodes"] is not None:
            data["nodes"] = [{key: value for key, value in each.items() if value} for each in data["nodes"]]
        return {key: value for key, value in data.items() if value is not None}

    def at(self, folder: Path) -> Config:
        """With the paths of interpreters, where they are relative, resolved against a folder; a command without a path is as it
        was, and found on PATH."""
        found = (
            evolve(each, python=os.path.abspath(folder / each.python))
            if isinstance(each, Entry) and os.sep in each.python
            else each
            for each in self.frameworks
        )
        return evolve(self, frameworks=tuple(found))

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

    def named_for(self, key: Literal["optimizer", "loss"], model: str, names: tuple[str, ...]) -> str:
        """What was asked for; empty for the model's own. A mapping may call the model by any of `names`."""
        value: str | dict[str, str] | None = getattr(self, key)
        if not isinstance(value, dict):
            return value or ""
        named = (value.get(name) for name in (model, *names, "default"))
        return next(filter(None, named), "")


def shipped() -> list[str]:
    """The names of the configurations that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def find(name: str) -> Path:
    """The file behind a path or a shipped name. Raises ConfigError if there is none."""
    if os.path.isfile(name):  # unlike Path.is_file, false for a name that is too long
        return Path(name)
    if name in shipped():
        return SHIPPED / f"{name}.yaml"
    raise ConfigError(
        f"--config: no file {show(name)}, and no shipped configuration of that name ({', '.join(shipped())})"
    )


def _of_results(path: Path) -> Any:
    """The configuration inside a results file, so that a run can be made again from it; None for any other file.

    A results file has a key per line, and this one is among the first: the rest, which may be large, is not read.
    """
    try:
        with path.open(encoding="utf-8") as file:
            head = [file.readline(LONGEST_LINE) for _ in range(HEAD_LINES)]
    except (OSError, UnicodeDecodeError):
        return None
    if not any(f'"schema": "{RESULTS_SCHEMA}"' in line for line in head):
        return None
    line = next((line for line in head if line.startswith(CONFIG_KEY)), "")
    try:
        return json.loads(line.removeprefix(CONFIG_KEY).rstrip().removesuffix(","))
    except (ValueError, RecursionError):
        raise ConfigError(f"{path}: a results file whose configuration cannot be read; was it edited?") from None


def read(name: str) -> dict[str, Any]:
    """The keys in a configuration file, or in the results file of a run. Raises ConfigError on a missing, unreadable or
    malformed file."""
    from mlbench_core.yaml_file import load  # importing it takes a tenth of a second: only who reads a file pays

    path = find(name)
    data = _of_results(path)
    if data is None:
        data = load(path)
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: the file must hold keys and values such as 'models: [mlp]', not {show(data)}")
    return data
