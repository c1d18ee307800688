"""A run from end to end, in real processes, with two frameworks that need nothing but NumPy: the reference and a third party's.

One run serves all of this file's questions about results.
"""

import csv
import json
import re
from pathlib import Path

import jsonschema
import pytest
from attrs import evolve

from mlbench_core import Results, Suite
from mlbench_core.record import Record
from mlbench_core.results.row import BY_NAME, COLUMNS
from mlbench_core.results.schema import results_schema
from mlbench_core.results.storage import SCHEMA_VERSION
from mlbench_core.runner.journal_reader import read

ISSUE_COLUMNS = [
    "train_time_per_epoch", "total_train_time", "samples_per_second", "peak_memory_mb", "avg_memory_mb", "final_train_accuracy",
    "final_val_accuracy", "num_parameters", "model_size_mb", "inference_latency_mean_ms", "inference_latency_p50_ms",
    "inference_latency_p95_ms", "inference_latency_p99_ms", "gpu_utilization_pct", "first_step_s", "status",
]  # fmt: skip


@pytest.fixture(scope="module")
def events() -> list[tuple[str, str]]:
    return []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def results(folder: Path, events: list[tuple[str, str]], quick: dict[str, float]) -> Results:
    measure = quick | {"min_seconds": 0.3, "value_seconds": 0.02, "queries": 700}
    suite = Suite(
        frameworks=["numpy", "toy"],
        models=["mlp"],
        batch_sizes=[32, 64],
        num_epochs=3,
        output=str(folder),
        measure=measure,
    )
    return suite.run(lambda trial, event: events.append((trial.key, event["event"])))


def test_every_trial_ends_well(results: Results) -> None:
    assert [(record.status, record.reason) for record in results.records] == [("ok", "")] * 6  # 2 x (2 train + 1 infer)
    assert results.failures() == []


def test_a_third_party_framework_agrees_with_the_reference(results: Results) -> None:
    losses = {
        (r.trial.framework, r.trial.batch_size): [epoch.loss for epoch in r.measured.epochs]
        for r in results.records
        if r.trial.task == "train"
    }
    for size in (32, 64):
        # float32 sums in different orders over 3 epochs of some 40 steps: parts in a thousand, far below a wrong rule's effect.
        assert losses["toy", size] == pytest.approx(losses["numpy", size], rel=1e-3)


def test_a_run_verifies_unless_told_not_to(results: Results) -> None:
    found = {row.framework: row.parity.verdict for row in results.rows}
    assert found == {"numpy": "verified", "toy": "unverified"}  # the toy has no float64
    assert {(result.framework, result.verdict) for result in results.parity} == set(found.items())


def test_records_name_the_machine_that_they_ran_on(results: Results) -> None:
    ((key, facts),) = results.machines.items()
    assert {record.machine for record in results.records} == {key}
    assert facts["cpu"]


def test_training_learns(results: Results) -> None:
    for row in results.rows:
        assert row.final_val_accuracy > 0.85
        assert row.final_train_accuracy > 0.85


def test_metrics_are_consistent(results: Results) -> None:
    for row in results.rows:
        assert row.num_parameters == 301_066
        # The file holds the float32 weights and little else.
        assert row.model_size_mb == pytest.approx(301_066 * 4 / 1e6, rel=0.01)
        assert row.total_train_time == pytest.approx(3 * row.train_time_per_epoch)
        latency = row.inference_latency
        assert latency is not None
        assert latency.p50 is not None
        assert latency.p95 is not None
        assert latency.p99 is not None
        assert 0 < latency.p50.value <= latency.p95.value <= latency.p99.value
        assert row.memory_source == "host resident"
        assert 20 < row.avg_memory_mb <= 1.05 * row.peak_memory_mb  # a sample may fall between two page counts
        assert row.gpu_utilization_pct is None


def test_throughput_is_all_samples_over_all_time(results: Results) -> None:
    for record in results.records:
        if record.trial.task == "train":
            m = record.measured
            assert m.calibration is not None
            row = next(
                r
                for r in results.rows
                if (r.framework, r.batch_size) == (record.trial.framework, record.trial.batch_size)
            )
            samples = record.trial.batch_size * m.calibration.steps_per_value * len(m.values)
            assert row.samples_per_second == pytest.approx(samples / sum(m.values))


def test_a_value_takes_as_long_as_asked(results: Results) -> None:
    for record in results.records:
        # k comes from an estimate on a noisy machine: half the length still means that steps were grouped.
        assert max(record.measured.values) > 0.01


def test_a_saved_model_comes_back(results: Results) -> None:
    assert all(r.measured.reload_difference == 0 for r in results.records if r.trial.task == "train")


def test_phases_are_told_apart(results: Results) -> None:
    for record in results.records:
        last = {
            "train": ["step_latency", "train", "evaluate", "save", "teardown"],
            "infer": ["latency", "teardown", "peak"],
        }[record.trial.task]
        first = ["start", "setup", "first_step", "warmup", "waiting", "measure", "read_back"]
        assert list(record.measured.phases) == [*first, *last]
        assert sum(record.measured.phases.values()) <= record.observed.wall_s


def test_events_tell_the_story_in_order(results: Results, events: list[tuple[str, str]]) -> None:
    for record in results.records:
        mine = [event for key, event in events if key == record.trial.key]
        assert mine[0] == "start"
        assert mine[-2:] == ["done", "record"]
        assert mine.index("info") < mine.index("phase", 2)


def test_json_keeps_everything(results: Results, folder: Path) -> None:
    data = json.loads((folder / "benchmark_results.json").read_text())
    assert (data["schema"], data["schema_version"]) == ("mlbench-results", SCHEMA_VERSION)
    assert data["config"]["models"] == ["mlp"]
    assert len(data["records"][0]["measured"]["values"]) >= 3
    back = Results.load(folder / "benchmark_results.json")
    assert evolve(back, parity=()) == evolve(results, parity=())
    assert str(back.parity) == str(
        results.parity
    )  # a check that could not be made has the error nan, which equals nothing


def test_the_file_of_a_run_follows_the_schema_that_it_names(folder: Path) -> None:
    jsonschema.validate(json.loads((folder / "benchmark_results.json").read_text()), results_schema())


def test_csv_has_the_documented_columns(results: Results, folder: Path) -> None:
    with (folder / "benchmark_results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert list(rows[0]) == [column.name for column in COLUMNS]
    assert set(ISSUE_COLUMNS) <= set(BY_NAME)
    assert float(rows[0]["samples_per_second"]) > 0


def test_the_journal_holds_every_record(results: Results, folder: Path) -> None:
    found = read(folder / "journal.jsonl")
    assert found is not None
    assert tuple(record for _, record in found.records) == results.records
    assert str(found.parity) == str(
        results.parity
    )  # a check that could not be made has the error nan, which equals nothing
    assert found.machines == results.machines
    assert found.headers[0].config == results.config


def test_the_data_frame_has_a_row_per_cell(results: Results) -> None:
    frame = results.to_dataframe()
    assert list(frame.columns) == [column.name for column in COLUMNS]
    assert len(frame) == 4


def _only(records: tuple[Record, ...], task: str) -> Record:
    (record,) = (r for r in records if r.trial.task == task)
    return record


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        (
            "raise",
            "failed",
            r"^train_step of the framework plugin 'toy' \(.*\) raised RuntimeError: the toy is broken$",
        ),
        ("crash", "crashed", r"killed by SIGABRT during warmup; see .*: about to crash"),
        ("nan", "diverged", "the loss of epoch 1 is nan: training diverged"),
        ("hang", "timeout", r"stopped during warmup after the time limit of 4 s \(time_limit_s\)"),
    ],
)
def test_a_failing_trial_does_not_end_the_run(
    fault: str, status: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: dict[str, float]
) -> None:
    monkeypatch.setenv("TOY_FAULT", fault)
    measure = quick | {"warmup_steps": 12}
    limit = 4 if fault == "hang" else 60
    suite = Suite(
        frameworks=["toy"], models=["mlp"], num_epochs=1, output=str(tmp_path), measure=measure, time_limit_s=limit
    )
    results = suite.run(verify=False)
    train, infer = _only(results.records, "train"), _only(results.records, "infer")
    assert train.status == status
    assert re.search(reason, train.reason), train.reason
    assert "\n" not in train.reason
    assert infer.status == "ok"
    (row,) = results.rows
    assert row.status == status
    assert row.inference_latency is not None
    found = read(tmp_path / "journal.jsonl")
    assert found is not None
    assert len(found.records) == 2


def test_what_a_framework_does_not_offer_is_asked_once(tmp_path: Path, quick: dict[str, float]) -> None:
    events: list[str] = []
    suite = Suite(
        frameworks=["toy"], models=["mlp"], precision=["bf16"], num_epochs=1, output=str(tmp_path), measure=quick
    )
    results = suite.run(lambda _trial, event: events.append(event["event"]), verify=False)
    assert {(r.status, r.reason) for r in results.records} == {
        ("unsupported", "toy on cpu offers no precision 'bf16', only fp32")
    }
    assert events.count("info") == 1  # the second trial started no process
    assert len(results.failures()) == 2


def test_ctrl_c_keeps_what_is_finished(tmp_path: Path, quick: dict[str, float]) -> None:
    suite = Suite(frameworks=["toy"], models=["mlp"], num_epochs=1, output=str(tmp_path), measure=quick)

    def interrupt(_trial: object, event: dict[str, object]) -> None:
        if event["event"] == "record":
            raise KeyboardInterrupt

    results = suite.run(interrupt, verify=False)
    assert results.interrupted
    assert len(results.records) == 1
    assert Results.load(tmp_path / "benchmark_results.json") == results


def test_ctrl_c_while_models_are_verified_ends_the_run_too(
    tmp_path: Path, quick: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the command line does: what there is is written, and the run can be resumed."""

    def interrupt(*_args: object) -> None:
        raise KeyboardInterrupt

    suite = Suite(frameworks=["toy"], models=["mlp"], num_epochs=1, output=str(tmp_path), measure=quick)
    with monkeypatch.context() as patch:
        patch.setattr("mlbench_core.runner.suite.verify", interrupt)
        results = suite.run()
    assert results.interrupted
    assert results.records == ()
    assert Results.load(tmp_path / "benchmark_results.json").interrupted
    again = Suite(frameworks=["toy"], models=["mlp"], num_epochs=1, output=str(tmp_path), measure=quick)
    assert len(again.run(resume=True, verify=False).records) == 2


def test_the_machine_is_looked_at_before_it_is_put_to_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The ladder loads the processor; a load average read after it would be our own."""
    looked = []
    monkeypatch.setattr("mlbench_core.executors.local.machine_facts", lambda: looked.append("facts") or {})
    monkeypatch.setattr("mlbench_core.runner.suite.verify", lambda *_args: looked.append("ladder") or [])
    suite = Suite(frameworks=["numpy"], models=["mlp"], output=str(tmp_path))
    suite.verify()
    assert looked == ["facts", "ladder"]
    assert suite.facts == {}
    assert looked == ["facts", "ladder"]
