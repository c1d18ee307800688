"""Two runs compared: what matches, what forbids it, what is said of the rest, and the exit status."""

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve
from made import made
from variants import NEW, OLD, two_variants

from mlbench_core import Results
from mlbench_core.compare.gate import Gate, outcome, parse_conditions, parse_threshold
from mlbench_core.compare.judge import Options, RunComparison, compare_runs
from mlbench_core.errors import ConfigError
from mlbench_core.record import Record
from mlbench_core.results.compared import LATENCY, MEMORY, TRAINING

EVERYTHING = ("slower", "inconclusive", "missing", "not-comparable", "failed")


def run(**options: Any) -> Results:
    return made(**({"models": ["mlp", "resnet18"], "batch_sizes": [32]} | options))


def changed(results: Results, change: Callable[[Record], Record]) -> Results:
    return evolve(results, records=tuple(change(record) for record in results.records))


def slowed(results: Results, by: float, *frameworks: str) -> Results:
    """With every time of these frameworks longer; all of them if none is named."""

    def slow(record: Record) -> Record:
        if frameworks and record.trial.framework not in frameworks:
            return record
        m = record.measured
        first = None if m.first_step_s is None else by * m.first_step_s
        times = {name: [by * value for value in getattr(m, name)] for name in ("values", "latencies")}
        return evolve(record, measured=evolve(m, first_step_s=first, **times))

    return changed(results, slow)


def compared(base: Results, new: Results, **options: Any) -> RunComparison:
    return compare_runs([base], [new], Options(**options))


def verdicts(found: RunComparison, framework: str | None = None) -> set[str]:
    return {one.verdict for one in found.judged if framework in (None, one.cell.framework)}


def test_a_run_compared_with_itself_is_neither_faster_nor_slower_and_passes_everything() -> None:
    base = run()
    found = compared(base, base)
    assert len(found.judged) == 3 * 2 * 3  # frameworks, models; training, first step, latency
    assert verdicts(found) <= {"equivalent", "inconclusive"}
    assert all(one.ratio is not None and one.ratio.value == 1 for one in found.judged)
    for condition in ("slower", "missing", "not-comparable", "failed"):
        assert outcome(found, Gate(fail_on=(condition,))).status == 0


def test_ten_percent_slower_is_found_and_swapped_it_is_faster() -> None:
    base = run(noise=0.005)
    slow = slowed(base, 1.1, "jax")
    steps = (TRAINING, LATENCY)  # first steps scatter by 5 % here
    found, back = compared(base, slow, metrics=steps), compared(slow, base, metrics=steps)
    assert verdicts(found, "jax") == {"slower"}
    assert "slower" not in verdicts(found, "pytorch")
    assert outcome(found, Gate(fail_on=("slower",))).status == 1
    assert outcome(found, Gate()).status == 0
    assert verdicts(back, "jax") == {"faster"}
    assert outcome(back, Gate(fail_on=("slower",))).status == 0
    for one, two in zip(found.judged, back.judged, strict=True):
        assert one.ratio is not None
        assert two.ratio is not None
        assert one.ratio.low == pytest.approx(1 / (two.ratio.high or 0), rel=1e-12)


def test_a_slowdown_of_everything_is_none_beside_a_control() -> None:
    base = run(noise=0.005)
    slow = slowed(base, 1.2)
    assert verdicts(compared(base, slow)) == {"slower"}
    found = compared(base, slow, control="pytorch")
    others = [one for one in found.judged if one.cell.framework != "pytorch"]
    assert others
    assert {one.verdict for one in others} <= {"equivalent", "inconclusive"}
    assert all(one.ratio is not None and one.ratio.value == pytest.approx(1) for one in others)
    assert {one.reason for one in found.judged if one.cell.framework == "pytorch"} == {"it is the control"}


def test_variants_are_matched_by_their_labels() -> None:
    base = two_variants(noise=0.005)
    slow = changed(base, lambda r: r if r.trial.variant == NEW else slowed(evolve(base, records=(r,)), 1.2).records[0])
    found = compared(base, slow, metrics=(TRAINING,))
    assert {one.cell.name.split("/")[2]: one.verdict for one in found.judged} == {
        OLD: "slower", NEW: "equivalent", "numpy": "slower",
    }  # fmt: skip
    beside = compared(base, slow, metrics=(TRAINING,), control=OLD)
    assert {one.cell.name.split("/")[2]: one.verdict for one in beside.judged} == {
        OLD: "not comparable", NEW: "faster", "numpy": "equivalent",
    }  # fmt: skip
    only = two_variants(frameworks=("jax", "numpy"))
    assert {name.split("/")[2] for name, side in compared(base, only).missing} == {NEW}
    other = changed(base, lambda r: evolve(r, measured=evolve(r.measured, python="3.12.1")) if r.trial.variant else r)
    assert {(c.name, c.new) for c in compared(base, other).changes} == {
        (f"{OLD}: Python", "3.12.1"), (f"{NEW}: Python", "3.12.1"),
    }  # fmt: skip


def test_a_control_of_another_version_is_none() -> None:
    base = run()
    other = changed(
        base,
        lambda r: (
            evolve(r, measured=evolve(r.measured, framework_version="2.0")) if r.trial.framework == "pytorch" else r
        ),
    )
    found = compared(base, other, control="pytorch")
    reasons = {one.reason for one in found.judged if one.cell.framework == "jax"}
    assert reasons == {"the control pytorch is of different versions: 1.0 and 2.0"}
    assert outcome(found, Gate()).status == 3


@pytest.mark.parametrize("name", ["seed", "threads", "tuned", "optimizer", "loss"])
def test_another_setting_is_not_comparable_with_the_reason(name: str) -> None:
    base = run()
    other = changed(base, lambda r: evolve(r, trial=evolve(r.trial, **{name: 7})))
    found = compared(base, other)
    assert verdicts(found) == {"not comparable"}
    assert all(one.reason.startswith(f"different {name}: ") for one in found.judged)
    assert outcome(found, Gate()).status == 3


def test_parity_and_parameters_decide_too() -> None:
    base = run()
    other = changed(base, lambda r: evolve(r, measured=evolve(r.measured, num_parameters=5)))
    assert "different number of parameters: 300000 and 5" in compared(base, other).judged[0].reason
    assert "different parity" in compared(base, run(verified=False)).judged[0].reason


def moved(results: Results, **facts: Any) -> Results:
    return evolve(results, machines={key: {**machine, **facts} for key, machine in results.machines.items()})


@pytest.mark.parametrize(
    "facts",
    [
        {"cpu": "Another"},
        {"cpu_affinity": [0]},
        {"governor": "powersave"},
        {"memory_bytes": 10**9},
        {"container": "docker"},
    ],
)
def test_another_machine_is_not_comparable(facts: dict[str, Any]) -> None:
    base = run()
    found = compared(base, moved(base, **facts))
    assert verdicts(found) == {"not comparable"}
    assert all(one.reason.startswith("another machine: ") for one in found.judged)
    assert outcome(found, Gate(fail_on=("slower",))).status == 3
    shown = compared(base, moved(base, **facts), any_machine=True)
    assert all(one.ratio is not None and not one.gated for one in shown.judged)
    assert outcome(shown, Gate(fail_on=EVERYTHING)).status == 3  # shown, and never gated


def test_the_weather_informs_and_decides_nothing() -> None:
    base = run()
    other = moved(base, cpu_mhz=1.0, load_average=[9.0, 9.0, 9.0], memory_available_bytes=1, cpu_busy_pct=99.0)
    found = compared(base, other)
    assert [evolve(one, ratio=None) for one in found.judged] == [
        evolve(one, ratio=None) for one in compared(base, base).judged
    ]
    assert {(change.name, change.decides) for change in found.changes} == {
        (name, False) for name in ("cpu_mhz", "load_average", "memory_available_bytes", "cpu_busy_pct")
    }


def test_versions_are_told_and_decide_nothing() -> None:
    base = run()
    other = changed(base, lambda r: evolve(r, measured=evolve(r.measured, framework_version="2.0")))
    found = compared(base, other)
    assert ("jax", "1.0", "2.0", False) in {(c.name, c.base, c.new, c.decides) for c in found.changes}
    assert "not comparable" not in verdicts(found)


def test_cells_of_one_side_are_listed() -> None:
    found = compared(run(), run(models=["mlp", "bert-tiny"]))
    sides = {(name.split("/")[0], side) for name, side in found.missing}
    assert sides == {("resnet18", "new"), ("bert-tiny", "base")}
    assert outcome(found, Gate(fail_on=("missing",))).status == 1
    assert outcome(found, Gate(strict=True)).status == 3
    disjoint = compared(run(models=["mlp"]), run(models=["bert-tiny"]))
    assert outcome(disjoint, Gate()).status == 3


def test_failed_cells_are_told_apart() -> None:
    found = compared(run(), run(failed=["jax"]))
    assert len(found.failed) == 4  # two models, two tasks
    assert all(why == "new: failed: RuntimeError: made to fail" for _, why in found.failed)
    assert outcome(found, Gate(fail_on=("failed",))).status == 1


def test_thresholds_allow_a_loss_by_pattern() -> None:
    base = run(noise=0.002)
    found = compared(base, slowed(base, 1.08))  # speeds of 0.926
    assert outcome(found, Gate(fail_on=("slower",), thresholds=(parse_threshold("10%"),))).status == 0
    assert outcome(found, Gate(fail_on=("slower",), thresholds=(parse_threshold("5%"),))).status == 1
    by_model = (parse_threshold("10%"), parse_threshold("resnet*=5%"))
    met = outcome(found, Gate(fail_on=("slower",), thresholds=by_model)).met
    assert met
    assert all("resnet18/" in line for line in met)


def test_several_runs_make_the_run_the_unit() -> None:
    runs = [slowed(run(noise=0.002), factor) for factor in (1.0, 1.05, 0.95)]
    found = compare_runs(runs, runs, Options())
    assert found.several_runs
    assert {one.blocks for one in found.judged} == {(3, 3)}
    assert verdicts(found) == {"inconclusive"}  # the sittings differ by 5 %


def test_other_metrics_are_compared_when_named() -> None:
    base = run()
    found = compared(base, base, metrics=(TRAINING, MEMORY))
    assert {one.metric for one in found.judged} == {TRAINING.name, MEMORY.name}
    assert {one.verdict for one in found.judged if one.metric == MEMORY.name} == {"equivalent"}


def test_means_are_over_three_cells_or_more_and_mixed_if_cells_disagree() -> None:
    base = run(noise=0.005)
    found = compared(base, slowed(slowed(base, 1.1, "jax"), 0.8, "tensorflow"))
    (mean,) = [mean for mean in found.means if mean.metric == TRAINING.name]
    assert (mean.name, mean.cells, mean.mixed) == ("train on cpu, fp32", 6, True)
    assert mean.ratio.value == pytest.approx((1 / 1.1 / 0.8) ** (1 / 3))
    assert compared(run(models=["mlp"], frameworks=["jax"]), run(models=["mlp"], frameworks=["jax"])).means == ()


def test_what_is_typed_wrong_is_one_line() -> None:
    with pytest.raises(ConfigError, match="--fail-on: unknown condition 'slow': did you mean 'slower'"):
        parse_conditions("slow")
    for text in ("x", "-5%", "200%", "resnet*=", "nan"):
        with pytest.raises(ConfigError, match="--threshold: "):
            parse_threshold(text)
    assert parse_threshold("0.05").share == 0.05
    assert parse_conditions(" slower, missing ") == ("slower", "missing")
