"""How charts are drawn: one look for an arm, SVG for any page, nothing too small, names as text, caps that are said."""

import itertools
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from made import made
from matplotlib.text import Text
from plotted import HOSTILE, NO_CHARACTER, no_pictures, one

from mlbench_core import Results
from mlbench_core.report.charts import KINDS, Chart, charts
from mlbench_core.report.charts.style import ARMS, DARK, LIGHT, Palette, Style

NAMES = [kind.__name__ for kind in KINDS]


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


def test_an_arm_looks_the_same_everywhere_and_like_no_other() -> None:
    looks = [
        Style(framework=framework, execution=execution).marker() for framework in range(64) for execution in range(2)
    ]
    assert len({tuple(look.items()) for look in looks}) == len(looks)
    lines = [Style(framework=0, execution=execution).line()["linestyle"] for execution in (0, 1)]
    assert lines[0] != lines[1]


def contrast(one: str, other: str) -> float:
    """WCAG 2's contrast ratio of two colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_markers_stand_out_and_texts_can_be_read(palette: Palette) -> None:
    assert all(contrast(colour, palette.bg) >= 3 for colour in palette.series)  # WCAG 1.4.11, of graphics
    assert len(set(palette.by_name().values())) == len(palette.by_name())
    assert contrast(palette.fg, palette.bg) >= 7
    assert contrast(palette.muted, palette.bg) >= 4.5


def test_the_page_sets_the_colours_of_the_charts() -> None:
    from mlbench_core.report.html import asset

    style = asset("style.css").replace(" ", "")
    for palette in (LIGHT, DARK):
        for name, colour in palette.by_name().items():
            assert any(f"--{name}:{written}" in style for written in (colour, colour.replace("#ffffff", "#fff")))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "scaling"])
def test_svg_is_for_any_page(by_name: dict[str, Chart], wide: Results, name: str) -> None:
    chart = by_name[name] if by_name[name].svg else one(wide, name)
    assert chart.svg is not None
    root = ET.fromstring(chart.svg)
    assert root.get("role") == "img"
    label = root.find("{http://www.w3.org/2000/svg}title")
    assert label is not None
    assert (label.text, label.get("id")) == (chart.title, root.get("aria-labelledby"))
    assert not [element for element in root.iter() if element.get("style")]
    for colour in LIGHT.by_name().values():
        assert colour not in chart.svg.lower()  # each became a variable of the page
    ids = [value for element in root.iter() if (value := element.get("id"))]
    assert all(value.startswith(f"{name}-") for value in ids)
    assert len(ids) == len(set(ids))
    ET.fromstring(chart.standalone().encode())
    assert "prefers-color-scheme:dark" in chart.standalone()


CROWDED = made(frameworks=["pytorch", "a" * 80], models=["b" * 80, "m"], blocks=2, queries=700, values=5)


@pytest.mark.parametrize("results", [made(blocks=2, values=5), CROWDED], ids=["usual", "long names"])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("scaling", "gpu_vs_cpu", "precision")])
def test_no_text_is_small_or_over_another(results: Results, name: str) -> None:
    """Of what is drawn with matplotlib's own font, which is wider than a page's."""
    figure = one(results, name).figure()
    figure.draw_without_rendering()
    for ax in figure.axes:
        for direction, axis in enumerate((ax.xaxis, ax.yaxis)):
            low, high = sorted(axis.get_view_interval())
            labels = [label for label in axis.get_ticklabels() if low <= label.get_position()[direction] <= high]
            boxes = [label.get_window_extent() for label in labels if label.get_text()]
            assert not [(a, b) for a, b in itertools.pairwise(boxes) if a.overlaps(b)]
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    assert min(text.get_fontsize() for text in texts) >= 8  # points, where the page's tables have ten
    titles = [text for text in texts if text.get_weight() == "bold" and text.get_ha() == "left"]
    boxes = [text.get_window_extent() for text in titles]
    assert not [pair for pair in itertools.combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    assert all(box.x1 <= figure.bbox.x1 and box.x0 >= figure.bbox.x0 for box in boxes)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_anybodys_text(name: str) -> None:
    found = charts(
        made(frameworks=[name, "b"], models=[name], batch_sizes=[32, 64], blocks=2, precisions=["fp32", "bf16"])
    )
    for chart in found:
        if chart.svg is None:
            continue
        ET.fromstring(chart.svg)
        assert "<img" not in chart.svg
        texts = [text for row in chart.figures.rows for text in row]
        assert all(text.isprintable() for text in [*texts, chart.title, chart.caption])
    drawn = [
        "".join(ET.fromstring(chart.svg).itertext()) for chart in found if chart.svg and chart.name != "forest"
    ]  # fmt: skip
    shown = {NO_CHARACTER: "\\u0000\\u001b[31m\\u202e\\ufffe", "=" * 300: "=" * 18 + "…"}.get(name, name[:12])
    assert all(shown in text for text in drawn)


@pytest.mark.parametrize(
    ("options", "chart", "says"),
    [
        ({"models": [f"m{i}" for i in range(14)], "batch_sizes": [32]}, "throughput", "The first 12 of 14 panels"),
        ({"models": [f"m{i}" for i in range(14)], "batch_sizes": [32]}, "step_times", "The first 12 of 14 groups"),
        ({"models": [f"m{i}" for i in range(11)], "batch_sizes": [32]}, "forest", "The first 60 of 66 comparisons"),
        ({"models": ["m"], "batch_sizes": [*range(1, 31)]}, "throughput", "The first 16 of 30 lines of a panel"),
        ({"models": ["m"], "frameworks": [f"f{i:02}" for i in range(20)]}, "throughput", "The first 16 of 20 arms"),
    ],
)
def test_more_than_can_be_seen_is_left_out_with_a_sentence(options: dict[str, Any], chart: str, says: str) -> None:
    found = one(made(**{"blocks": 1, "queries": 20, "values": 5} | options), chart)
    assert f"{says} are plotted" in found.caption
    assert found.size[1] < 25  # inches


def test_at_most_so_many_arms_are_drawn() -> None:
    found = charts(made(frameworks=[f"f{i:02}" for i in range(20)], models=["m"], blocks=2, queries=20, values=5))
    for chart in found:
        if chart.draw and "arm" in chart.figures.titles:
            place = chart.figures.titles.index("arm")
            assert len({row[place] for row in chart.figures.rows}) == ARMS


FEW: list[tuple[str, Callable[[], Results], set[str]]] = [
    (
        "one framework, one model",
        lambda: made(frameworks=["jax"], models=["mlp"], batch_sizes=[32]),
        {"forest", "batch_size", "gpu_vs_cpu", "precision", "scaling"},
    ),
    ("everything failed", lambda: made(failed=["pytorch", "tensorflow", "jax"], blocks=1), set(NAMES)),
    (
        "few queries",
        lambda: made(queries=5, blocks=1),
        {"inference", "throughput_latency", "gpu_vs_cpu", "precision", "scaling"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("make", "empty"), [case[1:] for case in FEW], ids=[case[0] for case in FEW])
def test_a_chart_with_nothing_to_show_says_what_would_fill_it(make: Callable[[], Results], empty: set[str]) -> None:
    found = charts(make())
    assert {chart.name for chart in found if chart.svg is None} == empty
    assert all("fill" in chart.missing for chart in found if chart.svg is None)
