"""The words of a report: who is ahead, what is recommended, what would have to be run, and when nothing may be said."""

import io

import pytest
from attrs import evolve
from made import made
from rich.console import Console

from mlbench_core import Results
from mlbench_core.report.advice import Advice, advice, said_once
from mlbench_core.report.headline import answers, headline
from mlbench_core.report.reproduce import blocks_wanted, more_blocks, reproduce
from mlbench_core.report.sections import knobs_table
from mlbench_core.report.terminal import print_results
from mlbench_core.results.compared import LATENCY, TRAINING


@pytest.fixture(scope="module")
def results() -> Results:
    return made(models=["mlp", "resnet18"])


def of(results: Results, use: str) -> list[Advice]:
    return [one for one in advice(results) if one.use.startswith(use)]


def test_the_first_screen_says_what_was_compared_and_where(results: Results) -> None:
    found = headline(results)
    assert found.compared == (
        "jax, pytorch and tensorflow on mlp (digits) and resnet18 (digits); cpu; training at batch size 32 and 64; fp32; "
        "10 blocks."
    )
    assert found.machines == ("Made CPU @ 2.0 GHz, 2 of 2 CPUs, 24 GB memory, Python 3.11.7, Linux-6.1-x86_64",)
    assert found.parity == "All 6 models are proven to compute what the NumPy reference computes."
    assert found.doubts == ()
    # 2 models x (2 batch sizes in training + inference) x 3 pairs
    assert sum(found.counts.values()) == 18


def test_machines_of_two_kinds_are_named_with_what_ran_on_each(results: Results) -> None:
    (key,) = results.machines
    other = {**results.machines[key], "cpu": "Other CPU"}
    moved = [evolve(r, machine="other") if r.trial.model == "resnet18" else r for r in results.records]
    apart = evolve(results, machines={**results.machines, "other": other}, records=moved)
    made_cpu, other_cpu = headline(apart).machines
    assert made_cpu.startswith("mlp: Made CPU @ 2.0 GHz")
    assert other_cpu.startswith("resnet18: Other CPU")
    # The same models on both, as after a resume on another machine: nothing to tell apart.
    both = [evolve(r, machine="other") if r.trial.block else r for r in results.records]
    lines = headline(evolve(apart, records=both)).machines
    assert [line.split(",")[0] for line in lines] == ["Made CPU @ 2.0 GHz", "Other CPU"]


def test_an_answer_names_the_leader_each_ratio_and_its_interval(results: Results) -> None:
    found = [a for a in answers(results) if a.metric == TRAINING.name]
    assert len(found) == 4
    first = found[0]
    assert first.heading == "training of mlp on cpu, batch size 32, fp32"
    assert first.decided
    # Made with speeds of 1, 0.8 and 1.25, and 1 % noise in each of ten blocks.
    assert first.text.startswith("jax is 1.2")
    assert "times as fast as pytorch (95 % interval 1.2" in first.text
    assert "times as fast as tensorflow (95 % interval 1.5" in first.text
    assert first.text.endswith("pytorch needs 26 % less memory than jax.")  # 432 of 582 MB


def test_the_answer_is_the_comparison_s_own(results: Results) -> None:
    pair = next(c for c in results.comparisons if c.metric == LATENCY.name and {c.a, c.b} == {"jax", "pytorch"})
    answer = next(a for a in answers(results) if (a.group, a.metric) == (pair.group, pair.metric))
    seen = pair.seen_from("jax")
    assert seen.ratio is not None
    assert f"{seen.ratio.value:.2f} times as fast as pytorch" in answer.text


def test_swapping_sides_inverts_everything(results: Results) -> None:
    for pair in results.comparisons:
        swapped = pair.seen_from(pair.b)
        assert (swapped.a, swapped.b) == (pair.b, pair.a)
        assert swapped.seen_from(pair.a).verdict == pair.verdict
        if pair.ratio is not None:
            assert swapped.ratio is not None
            assert swapped.ratio.value == pytest.approx(1 / pair.ratio.value, rel=1e-12)
    with pytest.raises(ValueError, match="neither"):
        results.comparisons[0].seen_from("nobody")


def test_one_block_proves_nothing_and_says_what_would() -> None:
    one = made(models=["mlp"], blocks=1)
    found = headline(one)
    assert any(doubt.startswith("One block shows no difference") for doubt in found.doubts)
    assert not any(answer.decided for answer in found.answers)
    assert all("in one block, so no interval: nothing is shown." in answer.text for answer in found.answers)
    for given in advice(one):
        assert given.arms == ()
    assert of(one, "training throughput")[0].command == (
        "mlbench run --config benchmark_results.json --models mlp --devices cpu --precision fp32 --blocks 10 "
        "--output more-blocks --batch-sizes 32"
    )


def test_no_recommendation_without_verdicts_even_if_the_estimate_is_far_from_one() -> None:
    """Two blocks with 30 % noise: jax looks far ahead, and nothing is shown."""
    noisy = made(frameworks=["pytorch", "jax"], models=["mlp"], batch_sizes=[32], blocks=2, noise=0.3)
    (given,) = of(noisy, "training throughput")
    assert given.arms == ()
    assert given.text.startswith("No recommendation")


@pytest.mark.parametrize(
    ("use", "arms"),
    [
        ("training throughput", {("jax",)}),
        ("time to a trained model", {("pytorch",), ("jax",)}),  # 1,000 steps of the MLP end before jax has caught up
        ("online inference", {("jax",)}),
        ("little memory", {("pytorch",)}),
    ],
)
def test_recommendations_follow_the_verdicts(results: Results, use: str, arms: set[tuple[str, ...]]) -> None:
    found = of(results, use)
    assert {one.arms for one in found} == arms
    for one in found:
        assert "95 % interval" in one.text
        assert one.scope.endswith("on this machine")
        assert one.command == ""


def test_what_was_not_measured_says_what_it_takes(results: Results) -> None:
    for use, takes in (
        ("batch inference", "inference_batch_size above 1"),
        ("little energy", "a GPU"),
        ("a well-used", "a GPU"),
    ):
        (one,) = of(results, use)
        assert one.arms == ()
        assert takes in one.text


def test_a_gpu_fills_energy_and_utilisation() -> None:
    found = made(models=["mlp"], batch_sizes=[32], devices=["cuda:0"])
    assert of(found, "little energy")[0].arms == ("jax",)  # the same power, a quarter faster
    assert of(found, "a well-used")[0].arms == ("jax", "pytorch", "tensorflow")  # made alike
    assert "are equivalent" in of(found, "a well-used")[0].text


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"unstable": ["jax"]}, "jax (unstable: spread)"),
        ({"failed": ["jax"]}, "jax (failed)"),
        ({"not_comparable": ["jax"]}, "jax (not comparable)"),
    ],
)
def test_only_verified_and_stable_arms_are_recommended(options: dict[str, list[str]], why: str) -> None:
    found = made(models=["mlp"], batch_sizes=[32], **options)  # type: ignore[arg-type]
    (one,) = of(found, "training throughput")
    assert one.arms == ("pytorch",)
    assert why in one.text


def test_unverified_runs_recommend_nothing() -> None:
    found = made(models=["mlp"], batch_sizes=[32], verified=False)
    assert all(one.arms == () for one in advice(found))
    assert headline(found).parity.startswith("Not verified")


def test_warnings_are_doubts_too() -> None:
    one = made(models=["mlp"])
    assert headline(one).doubts == ()
    records = [
        evolve(r, measured=evolve(r.measured, values=[v * (0.88 + 0.12 * (i % 3)) for i, v in enumerate(r.measured.values)]))
        if r.trial.framework == "jax" and r.trial.task == "train"
        else r
        for r in one.records
    ]  # fmt: skip
    assert headline(evolve(one, records=tuple(records))).doubts == ("Warning (spread): jax training mlp",)


def test_doubts_come_worst_first() -> None:
    found = headline(made(models=["mlp"], failed=["jax"], unstable=["pytorch"], interrupted=True))
    assert found.doubts[0].startswith("The run was interrupted")
    assert "trials of jax failed: RuntimeError: made to fail" in found.doubts[1]
    assert any(doubt.startswith("Unstable (spread): pytorch") for doubt in found.doubts[2:])


def test_commands_to_reproduce(results: Results) -> None:
    assert [command.line for command in reproduce(results)] == [
        "mlbench run --config benchmark_results.json --output again",
        "mlbench run --config benchmark_results.json --models mlp --output again-mlp",
        "mlbench run --config benchmark_results.json --models resnet18 --output again-resnet18",
    ]
    assert blocks_wanted(results) is None
    assert blocks_wanted(made(models=["mlp"], blocks=1)) == 10


def test_a_pair_with_one_block_wants_the_first_blocks_whatever_else_has_more() -> None:
    """A run that was stopped in its second block: nobody can say that it would take over a thousand."""
    full = made(["one", "two"], ["mlp"], [32], blocks=2)
    kept = [r for r in full.records if r.trial.framework == "one" or not r.trial.block]
    found = Results(records=kept, config=full.config, machines=full.machines, parity=full.parity, interrupted=True)
    assert blocks_wanted(found) == 10
    texts = {one.text for one in advice(found) if one.scope}
    assert texts == {"No recommendation: 10 blocks needed."}, texts


def test_names_in_commands_are_quoted() -> None:
    hostile = made(frameworks=["a", "b"], models=["$(rm -rf /)"], batch_sizes=[32])
    line = more_blocks([hostile.comparisons[0].group], 20)
    assert "--models '$(rm -rf /)'" in line


def test_nothing_to_compare_has_no_answers() -> None:
    alone = made(frameworks=["jax"], models=["mlp"])
    assert headline(alone).answers == ()
    assert all(one.arms == () for one in advice(alone))


def test_what_holds_for_several_groups_is_said_once() -> None:
    """With one command for all of them, not one for each."""
    found = [one for one in advice(made(models=["mlp", "resnet18"], blocks=1)) if one.use == "training throughput"]
    assert [len(one.groups) for one in found] == [1] * 4
    (once,) = said_once(found)
    assert once.scope == "4 groups, the first of them training of mlp on cpu, batch size 32, fp32, on this machine"
    assert once.command == (
        "mlbench run --config benchmark_results.json --models mlp resnet18 --devices cpu --precision fp32 --blocks 10 "
        "--output more-blocks --batch-sizes 32 64"
    )
    taken = evolve(found[0], text="Take jax.", arms=("jax",), blocks=0)
    assert said_once([taken, *found[1:]])[0] == taken


def test_knobs_that_differ_come_before_those_that_one_framework_alone_has() -> None:
    results = made(["one", "two"], ["mlp"], [32], blocks=1)
    knobs = {"one": {"tf32": "off", "layout": "", "threads": "2"}, "two": {"tf32": "on", "threads": "2"}}
    records = [
        evolve(record, measured=evolve(record.measured, knobs=knobs[record.trial.framework]))
        for record in results.records
    ]
    both = knobs_table(evolve(results, records=tuple(records)))
    assert [[cell.text for cell in row] for row in both.rows] == [
        ["tf32", "off", "on", "differs"],
        ["threads", "2", "2", "same"],
        ["layout", "none", "n/a", "one has it"],
    ]
    alone = knobs_table(evolve(results, records=tuple(records[:1])))
    assert {row[-1].text for row in alone.rows} == {"same"}


def test_the_terminal_counts_the_rows_that_have_a_flag() -> None:
    """Both trials of a row raise it."""
    results = made(["one", "two"], ["mlp"], [32], blocks=2, unstable=["one"])
    assert all(len([flag for flag in row.flags if flag.name == "spread"]) == 2 for row in results.rows[::2])
    console = Console(width=200, record=True, file=io.StringIO())
    print_results(console, results)
    (line,) = [line for line in console.export_text().splitlines() if "spread" in line]
    assert line.endswith("; in 2 rows)")
