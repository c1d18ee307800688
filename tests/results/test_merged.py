"""Runs that share a matrix between them, as one."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve
from made import made
from typer.testing import CliRunner

from mlbench_core.cli import app
from mlbench_core.errors import ResultsError
from mlbench_core.results.merged import merged
from mlbench_core.results.storage import save


def test_the_halves_of_a_matrix_are_all_of_it() -> None:
    mlp, resnet = made(models=["mlp"], blocks=3), made(models=["resnet18"], blocks=3)
    both = merged([mlp, resnet])
    assert both.config["models"] == ["mlp", "resnet18"]
    assert both.rows == (*mlp.rows, *resnet.rows)
    ratios = {(c.group, c.metric, c.a, c.b): c.ratio for c in both.comparisons}
    alone = {(c.group, c.metric, c.a, c.b): c.ratio for run in (mlp, resnet) for c in run.comparisons}
    assert ratios.keys() == alone.keys()
    assert all(ratios[key].value == alone[key].value for key in alone)
    assert len(both.parity) == len(mlp.parity) + len(resnet.parity)
    assert not both.interrupted
    assert merged([mlp, evolve(resnet, interrupted=True)]).interrupted


def test_one_run_is_itself() -> None:
    run = made(models=["mlp"], blocks=2)
    assert merged([run]) is run


def test_two_runs_of_the_same_are_refused() -> None:
    with pytest.raises(ResultsError, match=r"two of the results hold mlp: .*mlbench compare"):
        merged([made(models=["mlp"]), made(models=["mlp", "resnet18"], precisions=["bf16"])])


def test_runs_that_were_measured_otherwise_are_refused() -> None:
    mlp, resnet = made(models=["mlp"], blocks=2), made(models=["resnet18"], blocks=2)
    with pytest.raises(ResultsError, match=r"the results differ in seed: 0 and 1;"):
        merged([mlp, evolve(resnet, config=resnet.config | {"seed": 1})])


def test_a_report_of_two_runs(tmp_path: Path) -> None:
    for model in ("mlp", "resnet18"):
        save(made(models=[model], blocks=2), tmp_path / f"{model}.json")
    files = [word for model in ("mlp", "resnet18") for word in ("--results", str(tmp_path / f"{model}.json"))]
    shown = CliRunner().invoke(app, ["report", *files, "--output", str(tmp_path / "report"), "--no-charts"])
    assert shown.exit_code == 0, shown.output
    page = (tmp_path / "report" / "report.html").read_text()
    assert "resnet18" in page
    assert "mlp" in page
