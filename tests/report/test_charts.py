"""The figures of charts are known answers, and what is plotted is what those figures say."""

import itertools
import math
import statistics
from collections.abc import Iterator

import pytest
from attrs import evolve
from made import made
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from plotted import MARKS, axes_of, bars, lines, markers, no_pictures, one, title_of

from mlbench_core import Results
from mlbench_core.record import Record
from mlbench_core.report.charts import Chart, charts
from mlbench_core.report.charts.axes import scale
from mlbench_core.report.charts.pareto import PANEL, pareto
from mlbench_core.report.charts.series import names_of
from mlbench_core.report.charts.style import LIGHT

NAMES = [
    "forest", "throughput", "training_time", "inference", "memory", "memory_over_time", "batch_size", "gpu_vs_cpu",
    "precision", "scaling", "compile_crossover", "throughput_latency", "step_times",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def without_pictures() -> Iterator[None]:
    with no_pictures():
        yield


@pytest.fixture(scope="module")
def results() -> Results:
    return made()


@pytest.fixture(scope="module")
def by_name(results: Results) -> dict[str, Chart]:
    return {chart.name: chart for chart in charts(results)}


@pytest.fixture(scope="module")
def wide() -> Results:
    """Two devices, two precisions, two ways of executing."""
    return made(
        frameworks=["jax", "pytorch"], models=["mlp"], batch_sizes=[32], blocks=3, devices=["cpu", "cuda:0"],
        precisions=["fp32", "bf16"], executions=["eager", "compiled"],
    )  # fmt: skip


def test_a_panel_names_its_data_set_only_where_the_model_has_another() -> None:
    groups = [comparison.group for comparison in made(["one", "two"], ["mlp", "resnet18"], [32], blocks=1).comparisons]
    mlp, resnet = (next(group for group in groups if group.model == model) for model in ("mlp", "resnet18"))
    images = evolve(resnet, dataset="synthetic:224x224x3/100@1024")
    assert names_of([mlp, images], PANEL) == {mlp: "mlp", images: "resnet18"}
    assert names_of([mlp, resnet, images], PANEL) == {
        mlp: "mlp, digits", resnet: "resnet18, digits", images: "resnet18, synthetic:224x224x3/100@1024"
    }  # fmt: skip


@pytest.mark.parametrize("fastest", [900, 9_000, 90_000, 900_000, 9_000_000])
def test_numbers_under_a_small_axis_do_not_run_into_each_other(fastest: float) -> None:
    figure = Figure(figsize=(3.1, 3), dpi=100)  # three panels stand beside each other
    ax = figure.add_subplot()
    values = [fastest / 29, fastest / 3, fastest]
    ax.plot(values, [1, 2, 3])
    scale(ax, "x", values)
    figure.draw_without_rendering()
    low, high = ax.get_xlim()
    seen = [label for label, at in zip(ax.get_xticklabels(), ax.get_xticks(), strict=True) if low <= at <= high]
    boxes = [label.get_window_extent() for label in seen]
    assert len(boxes) >= 2
    assert all(left.x1 + 4 < right.x0 for left, right in itertools.pairwise(boxes))  # 4 of 310 pixels: a blank


def trained(results: Results, arm: str, model: str, batch_size: int) -> list[Record]:
    return [
        r
        for r in results.records
        if (r.trial.framework, r.trial.model, r.trial.batch_size, r.trial.task) == (arm, model, batch_size, "train")
    ]


def rate(record: Record) -> float:
    assert record.measured.calibration is not None
    steps = record.measured.calibration.steps_per_value * len(record.measured.values)
    return record.trial.batch_size * steps / sum(record.measured.values)


def mean_and_ends(values: list[float], t: float) -> tuple[float, float, float]:
    """Geometric mean and 95 % interval; t: Student's quantile from a printed table."""
    logs = [math.log(value) for value in values]
    mean, half = statistics.fmean(logs), t * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def test_every_chart_has_its_name_and_its_place(by_name: dict[str, Chart]) -> None:
    assert list(by_name) == NAMES
    for chart in by_name.values():
        assert (chart.svg is None) == (chart.draw is None) == (not chart.figures.rows) == bool(chart.missing)
        assert all(len(row) == len(chart.figures.titles) for row in chart.figures.rows)
    assert {name for name, chart in by_name.items() if chart.missing} == {"gpu_vs_cpu", "precision", "scaling"}


def test_throughput_is_the_geometric_mean_over_blocks_with_its_interval(
    results: Results, by_name: dict[str, Chart]
) -> None:
    found = trained(results, "jax", "mlp", 64)
    assert len(found) == 10
    value, low, high = mean_and_ends([rate(r) for r in found], 2.262)  # 9 degrees of freedom
    chart = by_name["throughput"]
    row = next(row for row in chart.figures.rows if row[:3] == ("mlp", "batch 64", "jax"))
    assert [float(text.replace(",", "")) for text in row[3:6]] == pytest.approx([value, low, high], rel=1e-4)
    assert row[6] == "10"
    ax = next(ax for ax in axes_of(chart) if title_of(ax) == "mlp")
    assert any(x == pytest.approx(value, rel=1e-9) for x, _ in markers(ax))
    assert any(ends == pytest.approx((low, high), rel=1e-4) for ends in bars(ax))


@pytest.mark.parametrize("name", ["throughput", "training_time", "inference", "memory"])
def test_markers_and_bars_are_the_figures(by_name: dict[str, Chart], name: str) -> None:
    chart = by_name[name]
    panels = list(dict.fromkeys(row[0] for row in chart.figures.rows))
    axes = axes_of(chart)
    assert [title_of(ax) for ax in axes] == panels == ["mlp", "resnet18", "bert-tiny"]
    for ax in axes:
        mine = [row for row in chart.figures.rows if row[0] == title_of(ax)]
        assert sorted(x for x, _ in markers(ax)) == pytest.approx(
            sorted(float(row[3].replace(",", "")) for row in mine), rel=0.01, abs=0.005
        )
        ends = sorted(tuple(float(text.replace(",", "")) for text in row[4:6]) for row in mine if "n/a" not in row[4:6])
        assert [x for pair in sorted(bars(ax)) for x in pair] == pytest.approx(
            [x for pair in ends for x in pair], rel=0.01, abs=0.005
        )
        names = [label.get_text() for label in axes[0].get_yticklabels()]
        for row in mine:  # each marker is on the line that its row names
            assert any(
                x == pytest.approx(float(row[3].replace(",", "")), rel=0.01, abs=0.005) and names[round(y)] == row[1]
                for x, y in markers(ax)
            )


def test_training_for_real_is_of_one_block_and_has_no_interval(by_name: dict[str, Chart]) -> None:
    assert {row[4:] for row in by_name["training_time"].figures.rows} == {("n/a", "n/a", "1")}


def test_one_block_has_no_error_bars() -> None:
    for chart in charts(made(blocks=1, models=["mlp"], devices=["cpu", "cuda:0"], precisions=["fp32", "bf16"])):
        if chart.draw is not None and "low" in chart.figures.titles:
            place = chart.figures.titles.index("low")
            assert {row[place : place + 2] for row in chart.figures.rows} == {("n/a", "n/a")}
            assert not [ends for ax in axes_of(chart) for ends in bars(ax)]


def test_the_forest_shows_every_primary_comparison(results: Results, by_name: dict[str, Chart]) -> None:
    chart = by_name["forest"]
    expected = [c for c in results.comparisons if c.primary and c.ratio]
    assert len(chart.figures.rows) == len(expected) == 27
    (ax,) = axes_of(chart)
    places = [label.get_text() for label in ax.get_yticklabels()]
    assert len(places) == 27 + 9  # a heading for each group
    plotted = {y: x for x, y in markers(ax)}
    heading = ""
    row = iter(zip(chart.figures.rows, expected, strict=True))
    for place, text in enumerate(places):
        if place not in plotted:
            heading = text
            continue
        figures, comparison = next(row)
        assert comparison.ratio is not None
        assert (figures[0], f"{figures[1]} / {figures[2]}") == (heading, text)
        assert figures[3] == f"{comparison.ratio.value:.3f}" == f"{plotted[place]:.3f}"
        assert figures[7] == comparison.verdict
        blocks, ends = (x for x, y in lines(ax) if y[0] == place)
        assert blocks == pytest.approx([math.exp(log) for log in comparison.log_ratios])
        assert ends == [comparison.ratio.low, comparison.ratio.high]
    band = ax.patches[0].get_extents().transformed(ax.transData.inverted())
    assert (band.x0, band.x1) == pytest.approx((1 / 1.02, 1.02))


def colours(ax: Axes) -> set[object]:
    return {line.get_color() for line in ax.lines if line.get_marker() in MARKS}


def test_a_verdict_has_the_look_of_who_is_faster() -> None:
    (ax,) = axes_of(one(made(frameworks=["pytorch", "numpy"], models=["mlp"], batch_sizes=[32]), "forest"))
    assert colours(ax) == {LIGHT.series[1]}  # numpy is first by name and a fifth as fast: pytorch's colour
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "training: mlp, batch 32",
        "inference: mlp, batch 1",
    ]
    alike = one(made(frameworks=["x", "y"], models=["mlp"], batch_sizes=[32], noise=0.001), "forest")
    assert {row[7] for row in alike.figures.rows} == {"equivalent"}
    (ax,) = axes_of(alike)
    assert colours(ax) == {LIGHT.muted}


@pytest.mark.parametrize(("name", "speedup", "panel"), [("gpu_vs_cpu", 20.0, "mlp"), ("precision", 1.8, "mlp, cpu")])
def test_a_speed_up_is_that_of_the_same_arm_block_by_block(
    wide: Results, name: str, speedup: float, panel: str
) -> None:
    chart = one(wide, name)
    rows = [row for row in chart.figures.rows if row[0] == panel]
    assert {row[2] for row in rows} == {"jax (eager)", "jax (compiled)", "pytorch (eager)", "pytorch (compiled)"}
    assert all(float(row[3]) == pytest.approx(speedup, rel=0.05) for row in rows)  # the blocks' noise is 1 %
    assert {row[1] for row in rows} == {"bf16"} if name == "precision" else {"cuda:0, fp32", "cuda:0, bf16"}

    def rates(device: str, precision: str) -> list[float]:
        return [
            rate(r)
            for r in wide.records
            if (r.trial.framework, r.trial.execution, r.trial.task) == ("jax", "eager", "train")
            and (r.trial.device, r.trial.precision) == (device, precision)
        ]

    above = rates("cuda:0", "fp32") if name == "gpu_vs_cpu" else rates("cpu", "bf16")
    value, low, high = mean_and_ends([a / b for a, b in zip(above, rates("cpu", "fp32"), strict=True)], 4.303)
    row = next(row for row in rows if row[2] == "jax (eager)")
    assert row[3:] == (f"{value:.2f}", f"{low:.2f}", f"{high:.2f}", "3")


def test_lines_over_batch_sizes_are_the_throughput(by_name: dict[str, Chart]) -> None:
    chart = by_name["batch_size"]
    same = {(row[0], f"batch {row[2]}", row[1], *row[3:]) for row in chart.figures.rows}
    assert same == set(by_name["throughput"].figures.rows)
    for ax in axes_of(chart):
        mine = [row for row in chart.figures.rows if row[0] == title_of(ax)]
        plotted = {(x, f"{y:,.0f}") for line in lines(ax) for x, y in zip(*line, strict=True)}
        assert plotted == {(int(row[2]), row[3]) for row in mine}
        ends = {tuple(f"{end:,.0f}" for end in pair) for pair in bars(ax, direction=1)}
        assert ends == {row[4:6] for row in mine}


def test_the_crossover_is_where_the_arithmetic_says() -> None:
    results = made(frameworks=["pytorch", "jax"], models=["mlp"], batch_sizes=[32], noise=0.0)
    chart = one(results, "compile_crossover")
    (ax,) = axes_of(chart)
    for row, (steps, seconds), step_ms in zip(chart.figures.rows, lines(ax), (1.0, 0.8), strict=True):
        first, step, *told = (float(text.replace(",", "")) for text in row[2:])
        assert step == pytest.approx(step_ms, rel=0.01)  # what `made` makes of it
        starts = [r.measured.first_step_s or 0 for r in trained(results, row[1], "mlp", 32)]
        assert first == pytest.approx(statistics.median(starts), abs=5e-4)  # three decimals are printed
        for n, known in zip((100, 1_000, 10_000), told, strict=True):
            assert known == pytest.approx(first + (n - 1) * step / 1e3, rel=1e-3, abs=0.006)
            assert known == pytest.approx(seconds[steps.index(n)], abs=0.005)  # two decimals are printed


def test_memory_over_time_is_the_first_blocks_time_line(results: Results, by_name: dict[str, Chart]) -> None:
    chart = by_name["memory_over_time"]
    assert ("mlp, batch 32", "jax", "1.9", "550", "550") in chart.figures.rows
    ax = axes_of(chart)[0]
    first = trained(results, "jax", "mlp", 32)[0].observed.timeline
    assert (list(first.seconds), [size / 1e6 for size in first.host_bytes]) in lines(ax)
    assert ax.get_ylim()[0] == 0
    assert ax.get_yscale() == "linear"


def test_step_times_are_the_quantiles_of_all_blocks_values(results: Results, by_name: dict[str, Chart]) -> None:
    values = [
        1e3 * value / r.measured.calibration.steps_per_value
        for r in trained(results, "pytorch", "resnet18", 32)
        for value in r.measured.values
        if r.measured.calibration is not None
    ]
    chart = by_name["step_times"]
    row = next(row for row in chart.figures.rows if row[:2] == ("resnet18, batch 32", "pytorch"))
    at = statistics.quantiles(values, n=20, method="inclusive")
    assert row[2:] == (f"{at[0]:.4g}", f"{at[9]:.4g}", f"{at[18]:.4g}", "300")
    ax = next(ax for ax in axes_of(chart) if title_of(ax) == "resnet18, batch 32")
    curves = [dict(zip(shares, x, strict=True)) for x, shares in lines(ax)]
    assert any([curve[s] for s in (0.05, 0.5, 0.95)] == pytest.approx([at[0], at[9], at[18]]) for curve in curves)


def test_the_front_is_what_no_other_beats_in_both(by_name: dict[str, Chart]) -> None:
    assert pareto([(10, 1), (20, 2), (15, 3), (20, 3), (5, 1)]) == [(10, 1), (20, 2)]
    assert pareto([(1, 1), (1, 1)]) == [(1, 1)]
    chart = by_name["throughput_latency"]
    assert [row[:3] for row in chart.figures.rows if row[5] == "yes"] == [
        (model, "jax", "64") for model in ("mlp", "resnet18", "bert-tiny")
    ]
    for ax in axes_of(chart):
        mine = [row for row in chart.figures.rows if row[0] == title_of(ax)]
        ring, *spots = markers(ax)
        assert ring in spots
        plotted = sorted((f"{y:,.0f}", f"{x:.3g}") for x, y in spots)
        assert plotted == sorted((row[3], f"{float(row[4]):.3g}") for row in mine)
