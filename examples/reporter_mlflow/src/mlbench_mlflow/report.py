"""Writes the rows of a run as runs of MLflow's."""

import os
from pathlib import Path
from typing import Any

from attrs import asdict

from mlbench_core import Results
from mlbench_core.results.row import Row

EXPERIMENT = "mlbench"
SETTINGS = (
    "framework",
    "variant",
    "framework_version",
    "model",
    "dataset",
    "device",
    "batch_size",
    "precision",
    "execution",
    "block",
)


def write(results: Results, folder: Path) -> list[Path]:
    """Fills `folder`/mlruns, and returns its path. Local: it opens no connection."""
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow 3 refuses folders that nobody has opted in to
    from mlflow import MlflowClient  # takes a second to import, which only a run's end pays

    store = folder / "mlruns"
    client = MlflowClient(tracking_uri=store.absolute().as_uri())
    known = client.get_experiment_by_name(EXPERIMENT)
    experiment = known.experiment_id if known else client.create_experiment(EXPERIMENT)
    for row in results.rows:
        _log(client, experiment, row)
    return [store]


def _log(client: Any, experiment: str, row: Row) -> None:
    name = f"{row.variant or row.framework} {row.model} {row.device} block {row.block}"
    made = client.create_run(experiment, run_name=name, tags={"parity": row.parity.verdict, "status": row.status})
    for setting in SETTINGS:
        client.log_param(made.info.run_id, setting, getattr(row, setting))
    for figure, value in figures(row).items():
        client.log_metric(made.info.run_id, figure, value)
    client.set_terminated(made.info.run_id, "FINISHED" if row.status == "ok" else "FAILED")


def figures(row: Row) -> dict[str, float]:
    """Every number of a row that was measured, by the name of its field; a latency's by that and its own fields'."""
    found: dict[str, float] = {}
    for field, value in asdict(row).items():
        parts = (
            {f"{field}.{inner}": each for inner, each in value.items()} if isinstance(value, dict) else {field: value}
        )
        for name, number in parts.items():
            if isinstance(number, (int, float)) and not isinstance(number, bool) and name not in SETTINGS:
                found[name] = float(number)
    return found
