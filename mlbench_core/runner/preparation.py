"""The data of a run: for each model and data set the folder that workers map, or why there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from attrs import field, frozen

from mlbench_core.config import Config
from mlbench_core.data import Arrays, open_prepared, parse_name, prepare
from mlbench_core.errors import ConfigError, MlbenchError, PluginError
from mlbench_core.record import Flag
from mlbench_core.registry import DATASET, Registry
from mlbench_core.trial import Trial

Pair = tuple[str, str]
"""A model and a data set, by their names in a trial."""


@frozen(kw_only=True)
class Prepared:
    """What came of each model and data set: a folder and what to know of the data in it, or why its trials cannot be run."""

    folders: dict[Pair, Path] = field(factory=dict)
    notes: dict[Pair, tuple[Flag, ...]] = field(factory=dict)
    faults: dict[Pair, str] = field(factory=dict)

    def lines(self) -> list[str]:
        """What to tell before the run starts, each once."""
        said = [f"{dataset}: {note}" for (_, dataset), notes in self.notes.items() for note in notes]
        return list(dict.fromkeys([*said, *(f"fails: {why}" for why in self.faults.values())]))


def pair_of(trial: Trial) -> Pair:
    """What a trial's data are prepared for."""
    return trial.model, trial.dataset


def prepare_all(
    trials: Iterable[Trial],
    config: Config,
    registry: Registry,
    known: Mapping[Pair, str],
    cache: Path,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Prepares the data of every trial. A fault costs the trials that need them; one that costs all trials is raised.

    known: pairs that cannot be run whatever their data are. Raises ConfigError for a batch larger than its data set.
    """
    found = Prepared(faults=dict(known))
    errors: list[MlbenchError] = []
    for trial in trials:
        pair = pair_of(trial)
        if pair not in found.faults and pair not in found.folders:
            try:
                folder = _prepare(trial, config, registry, cache, progress)
                found.notes[pair] = open_prepared(folder).notes
                found.folders[pair] = folder
            except MlbenchError as error:
                errors.append(error)
                found.faults[pair] = str(error)
        if pair in found.folders:
            _check_batch(trial, open_prepared(found.folders[pair]))
    if errors and not found.folders:
        raise errors[0]
    return found


def _prepare(
    trial: Trial, config: Config, registry: Registry, cache: Path, progress: Callable[[int, int], None] | None
) -> Path:
    base, argument = parse_name(trial.dataset)
    try:
        return prepare(
            registry.datasets[base],
            registry.models[trial.model],
            argument=argument,
            data_dir=config.data_dir,
            seed=config.seed,
            cache=cache,
            progress=progress,
        )
    except PluginError as error:
        owner = registry.owners[DATASET, base]
        raise PluginError(f"{owner}: the data set {base!r} cannot be used: {error}") from error


def _check_batch(trial: Trial, data: Arrays) -> None:
    train = trial.task == "train"
    key, labels = ("batch_sizes", data.y_train) if train else ("inference_batch_size", data.y_val)
    if trial.batch_size > len(labels):
        raise ConfigError(f"{key}: {trial.batch_size} is more than the {len(labels)} samples of {trial.dataset}")
