"""A run of one of the two tasks has whole rows: nothing is missing that was not asked for."""

import pytest
from attrs import evolve
from made import made

from mlbench_core import Results
from mlbench_core.report.headline import headline
from mlbench_core.report.summary import summary_table

BOTH = made(["one", "two"], ["mlp"], [32, 64], blocks=2)


def of(tasks: list[str], kept: list[str]) -> Results:
    """The run of `tasks` whose trials of `kept` have ended."""
    records = tuple(record for record in BOTH.records if record.trial.task in kept)
    return evolve(BOTH, records=records, config=BOTH.config | {"tasks": tasks})


def test_training_alone() -> None:
    found = of(["train"], ["train"])
    assert [(row.status, row.reason) for row in found.rows] == [("ok", "")] * 8
    assert {row.inference_latency for row in found.rows} == {None}


def test_inference_alone() -> None:
    found = of(["infer"], ["infer"])
    both = {(row.framework, row.block): row for row in BOTH.rows}
    assert len(found.rows) == 4  # two frameworks, two blocks
    for row in found.rows:
        other = both[row.framework, row.block]
        assert (row.status, row.batch_size, row.samples_per_second) == ("ok", 1, None)
        assert row.inference_latency is not None
        assert row.inference_latency == other.inference_latency
        assert row.inference_samples_per_second == other.inference_samples_per_second
        assert (row.num_parameters, row.framework_version) == (other.num_parameters, other.framework_version)
        assert row.parity.verdict == "verified"
    assert "; inference at batch size 1;" in headline(found).compared
    assert "p50 ms" in [column.label for column in summary_table(found).columns]


@pytest.mark.parametrize("tasks", [["train", "infer"], ["infer", "train"]])
def test_of_both_a_missing_inference_is_an_interruption(tasks: list[str]) -> None:
    assert {row.status for row in of(tasks, ["train"]).rows} == {"interrupted"}
