"""The conformance kit on the reporter; and what MLflow reads from the folder is what was measured."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from mlbench_core import Suite
from mlbench_core.testing.reporters import ReporterConformance
from mlbench_mlflow.plugin import register_reporters

QUICK = {"warmup_seconds": 0, "steady_limit": 0, "min_values": 3, "min_seconds": 0, "latency_steps": 20, "queries": 20}


class TestMlflow(ReporterConformance):
    descriptor = register_reporters()[0]


def test_mlflow_reads_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = Suite(frameworks=["numpy"], models=["mlp"], num_epochs=1, output="out", measure=QUICK).run()
    client = MlflowClient(tracking_uri=(tmp_path / "out" / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("mlbench")
    assert experiment is not None, "the reporter did not run: is the package installed?"
    (found,) = client.search_runs([experiment.experiment_id])
    (row,) = results.rows
    assert found.data.params["framework"] == "numpy"
    assert found.data.metrics["samples_per_second"] == row.samples_per_second
    assert found.data.metrics["final_val_accuracy"] == row.final_val_accuracy
    assert found.info.status == "FINISHED"
