"""What an arm gains by several devices, a GPU, a precision or a batch size; and what is more than there can be."""

import re

import pytest
from attrs import evolve
from made import SCALING, made

from mlbench_core import Results
from mlbench_core.record import Record
from mlbench_core.report.choices import questions


def scaled(**keys: object) -> Results:
    return made(["jax"], ["resnet18"], devices=["cuda:0", "cuda:0-1"], **keys)  # type: ignore[arg-type]


def test_scaling_is_the_speed_per_device_over_that_of_one() -> None:
    results = scaled(batch_sizes=[32, 64], noise=0.0)
    (choice,) = [c for c in results.choices if c.respect == "devices" and c.group.batch_size == 64]
    assert choice.base.batch_size == 32  # as many samples per device, where there is such a trial
    # made() takes 0.8 of a doubled batch's time: samples per second grow with the batch by 2 ** 0.2.
    assert choice.efficiency.value == pytest.approx(SCALING * 2**0.2, rel=2e-3)  # values of a trial spread by 0.2 %
    assert choice.efficiency.blocks == 10
    assert choice.efficiency.low is not None
    assert choice.efficiency.low <= choice.efficiency.value


def test_without_such_a_trial_the_same_batch_is_shared() -> None:
    (choice,) = [c for c in scaled(batch_sizes=[32]).choices if c.respect == "devices"]
    assert choice.base.batch_size == 32
    assert choice.gain.value == pytest.approx(2 * choice.efficiency.value)


def test_a_row_of_several_devices_has_its_efficiency_and_needs_no_inference() -> None:
    rows = [row for row in scaled(batch_sizes=[32]).rows if row.device == "cuda:0-1"]
    assert {row.status for row in rows} == {"ok"}
    assert all(
        row.scaling_efficiency_pct == pytest.approx(95, abs=6) for row in rows
    )  # two processes that spread by 1 %


def test_more_than_linear_is_rejected() -> None:
    results = scaled(batch_sizes=[32], blocks=2)
    quick = evolve(results, records=tuple(_sped_up(record) for record in results.records))
    (row, *_) = [row for row in quick.rows if row.device == "cuda:0-1"]
    assert row.status == "rejected"
    assert "linear scaling over 2 devices" in row.reason


def _sped_up(record: Record) -> Record:
    if record.trial.device != "cuda:0-1":
        return record
    return evolve(record, measured=evolve(record.measured, values=[value / 1.3 for value in record.measured.values]))


def test_the_first_screen_answers_what_people_ask() -> None:
    results = made(["jax"], ["mlp"], devices=["cpu", "cuda:0", "cuda:0-1"], precisions=["fp32", "bf16"])
    found = {question.text: " ".join(question.answers) for question in questions(results)}
    assert list(found) == ["GPU or CPU?", "One device or several?", "Which precision?", "Which batch size?"]
    assert "times as fast on cuda:0 as on the CPU" in found["GPU or CPU?"]
    assert re.search(r"% of linear \(95 % interval \d+ to \d+ %\)", found["One device or several?"])
    assert "in bf16 as in fp32" in found["Which precision?"]
    assert "validation accuracy" in found["Which precision?"]
    assert "at batch 64 as at 32" in found["Which batch size?"]


def test_each_scaling_is_told_from_the_others() -> None:
    results = made(["jax"], ["mlp"], [32, 64], devices=["cpu", "cpu*2"], precisions=["fp32", "bf16"])
    (scaling,) = [question.answers for question in questions(results) if question.text == "One device or several?"]
    assert len({answer.partition(":")[0] + answer.partition("(")[2].partition(")")[0] for answer in scaling}) == 4


def test_one_device_one_precision_one_batch_leave_no_question() -> None:
    assert questions(made(["jax"], ["mlp"], batch_sizes=[32])) == ()
