"""What `Results` computes from its records, and in what forms it hands it out."""

import itertools
import random

import numpy as np
import pytest
from attrs import evolve
from made import made

from mlbench_core import Results
from mlbench_core.record import Flag, Record
from mlbench_core.report.headline import headline, title_of
from mlbench_core.results.flags import trial_flags
from mlbench_core.results.notebook import MOST
from mlbench_core.results.tidy import CELL, METRICS, TIDY
from mlbench_core.thresholds import Limits


def test_each_record_is_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows, comparisons and arms ask for the same flags; on a large file, finding them is what takes the time."""
    asked: list[int] = []

    def counted(record: Record, limits: Limits) -> list[Flag]:
        asked.append(id(record))
        return trial_flags(record, limits)

    monkeypatch.setattr("mlbench_core.results.results.trial_flags", counted)
    results = made(models=("mlp",), blocks=2)
    assert results.rows
    assert results.comparisons
    assert results.flags
    assert sorted(asked) == sorted(map(id, results.records))


def test_what_is_shown_is_in_the_configurations_order_whatever_was_measured_first() -> None:
    names, precisions = ("pytorch", "tensorflow", "jax"), ("fp32", "tf32", "bf16")
    run = made(names, ("resnet18", "mlp"), (64, 32), blocks=2, precisions=precisions)
    run = evolve(run, config=run.config | {"frameworks": list(names)})
    drawn = random.Random(1).sample(run.records, len(run.records))
    shuffled = evolve(run, records=tuple(sorted(drawn, key=lambda record: record.trial.block)))
    cells = [(row.model, row.precision, row.batch_size, row.block, row.framework) for row in shuffled.rows]
    assert cells == list(itertools.product(("resnet18", "mlp"), precisions, (32, 64), (0, 1), names))
    assert [comparison.group for comparison in shuffled.comparisons] == [
        comparison.group for comparison in run.comparisons
    ]
    assert title_of(shuffled) == "pytorch, tensorflow and jax"


def test_what_all_stands_for_is_in_an_order_too() -> None:
    run = made(("one",), ("mlp",), (32,), blocks=1, precisions=("bf16", "fp16", "fp32", "tf32"))
    asked = evolve(run, config=run.config | {"precision": ["all"], "frameworks": ["all"]})
    assert [row.precision for row in asked.rows] == ["fp32", "tf32", "bf16", "fp16"]
    labelled = run.config | {"frameworks": [{"name": "one", "label": "two", "python": "python"}, "one"]}
    both = [
        evolve(record, trial=evolve(record.trial, variant=label)) for record in run.records for label in ("", "two")
    ]
    assert [row.variant for row in evolve(run, config=labelled, records=tuple(both)).rows] == ["two", ""] * 4


@pytest.fixture(scope="module")
def run() -> Results:
    return made(models=("mlp",), batch_sizes=(32, 64), blocks=4, queries=70, unstable=("jax",))


def test_a_tidy_frame_has_a_line_per_cell_and_metric(run: Results) -> None:
    frame = run.to_dataframe(tidy=True)
    assert list(frame.columns) == list(TIDY)
    assert not frame.duplicated([*CELL, "metric"]).any()
    assert set(frame["metric"]) <= {metric.name for metric in METRICS}
    assert len(frame.groupby(list(CELL))) == 6
    known = frame[frame["blocks"] > 1]
    assert ((known["low"] <= known["value"]) & (known["value"] <= known["high"])).all()
    once = frame[frame["blocks"] == 1]  # only the first block trains for real
    assert {"train_time_per_epoch", "final_val_accuracy"} <= set(once["metric"])
    assert once[["low", "high"]].isna().all(axis=None)


def test_a_tidy_line_is_what_student_says(run: Results) -> None:
    """Values by hand: the geometric mean of the blocks' rates, t on 3 degrees of freedom on their logarithms."""
    frame = run.to_dataframe(tidy=True)
    (line,) = frame[
        (frame["framework"] == "pytorch") & (frame["batch_size"] == 64) & (frame["metric"] == "samples_per_second")
    ].to_dict("records")
    rates = [r.samples_per_second for r in run.rows if (r.framework, r.batch_size) == ("pytorch", 64)]
    logs = np.log(np.array(rates, float))
    half = 3.182446 * logs.std(ddof=1) / 2
    assert (line["unit"], line["blocks"]) == ("1/s", 4)
    expected = tuple(np.exp([logs.mean(), logs.mean() - half, logs.mean() + half]))
    assert (line["value"], line["low"], line["high"]) == pytest.approx(expected, rel=1e-6)  # as exact as 3.182446 is


def test_shares_and_counts_may_be_0_in_a_tidy_frame(run: Results) -> None:
    frame = run.to_dataframe(tidy=True)
    outliers = frame[frame["metric"] == "outliers"]
    assert len(outliers) == 6
    assert (outliers["value"] >= 0).all()


def test_an_impossible_speed_is_in_no_tidy_line() -> None:
    found = made(models=("mlp",), batch_sizes=(32,), blocks=2)
    records = [
        evolve(r, measured=evolve(r.measured, read_back_s=1.0)) if r.trial.framework == "jax" else r
        for r in found.records
    ]
    found = evolve(found, records=tuple(records))
    assert {row.status for row in found.rows if row.framework == "jax"} == {"rejected"}
    assert set(found.to_dataframe(tidy=True)["framework"]) == {"pytorch", "tensorflow"}


def test_results_of_nothing_have_frames_and_html() -> None:
    nothing = Results(records=(), config={}, machines={})
    assert list(nothing.to_dataframe(tidy=True).columns) == list(TIDY)
    assert "<table" in nothing._repr_html_()


def test_a_notebook_shows_cells_and_sentences(run: Results) -> None:
    text = run._repr_html_()
    assert text.count("<tr") == 1 + 6
    assert text.count("<li>") == sum(comparison.primary for comparison in run.comparisons)
    assert run.comparisons[0].describe() in text
    assert "interrupted" not in text
    assert "The run was interrupted" in evolve(run, interrupted=True)._repr_html_()


def test_names_in_a_notebook_are_text() -> None:
    hostile = ("<script>alert(1)</script>", "\u202egnp.exe", "two\nlines")
    text = made(frameworks=hostile, models=("<img src=x>",), batch_sizes=(32,), blocks=2)._repr_html_()
    assert "<script" not in text
    assert "<img" not in text
    assert "\u202e" not in text
    assert r"\u202egnp.exe" in text


def test_a_notebook_is_not_flooded() -> None:
    many = made(models=tuple(f"model{n}" for n in range(30)), batch_sizes=(32,), blocks=1, queries=1, values=3)
    text = many._repr_html_()
    assert text.count("<tr") == 1 + MOST
    assert text.count("<li>") == MOST
    assert "The first 50 of 90 cells and of 180 comparisons" in text


def with_accuracies(results: Results, accuracies: dict[tuple[str, int], float]) -> Results:
    """The same with these final validation accuracies, by framework and batch size."""
    records = [
        evolve(record, measured=evolve(record.measured, final_val_accuracy=accuracy))
        if record.measured.final_val_accuracy is not None
        and (accuracy := accuracies.get((record.trial.framework, record.trial.batch_size))) is not None
        else record
        for record in results.records
    ]
    return evolve(results, records=tuple(records))


def test_accuracies_that_lie_apart_part_their_group_alone_in_all_of_its_blocks() -> None:
    run = made(("one", "two", "three"), ("mlp",), (32, 256), blocks=2, verified=True)
    results = with_accuracies(run, {("two", 32): 0.974, ("three", 256): 0.929})  # 2.4 and 2.1 points from 95 %
    found: dict[tuple[int, int], set[str]] = {(row.batch_size, row.block): set() for row in results.rows}
    for row in results.rows:
        found[row.batch_size, row.block].add(row.parity.reason)
    small = "final validation accuracies 2.4 points apart on cpu at batch size 32 in fp32"
    large = "final validation accuracies 2.1 points apart on cpu at batch size 256 in fp32"
    assert found == {(32, 0): {small}, (32, 1): {small}, (256, 0): {large}, (256, 1): {large}}
    trained = {(c.group.batch_size, c.reason) for c in results.comparisons if c.group.task == "train" and c.primary}
    assert trained == {(32, small), (256, large)}
    first = headline(results)
    assert first.answers[0].text == f"one is not comparable with three and two ({small})."
    assert [doubt for doubt in first.doubts if doubt.startswith("Not")] == [
        f"Not comparable: one, three and two mlp: {why}" for why in (large, small)
    ]

    one_size = with_accuracies(run, {("two", 32): 0.974, ("three", 256): 0.931})  # within 2 points at 256
    assert {row.batch_size for row in one_size.rows if row.parity.verdict == "not comparable"} == {32}
    told = {(c.group.task, c.group.batch_size): c for c in one_size.comparisons if c.primary}
    assert (told["train", 32].ratio, told["train", 32].reason) == (None, small)
    assert told["train", 256].ratio is not None
    assert told["infer", 1].reason == small  # one model infers for both
