"""The HTML report as a file: a page that needs nothing else, the same bytes for the same results; hostile names are text."""

import base64
import hashlib
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from made import made
from plotted import no_pictures

from mlbench_core import Results
from mlbench_core.report.html import write_html
from mlbench_core.results.storage import SCHEMA_VERSION, save

HOSTILE = "</script><img src=x onerror=alert(1)>|$\\frac{1}{2}$\n\x1b[31m\u202e=1+1"


class Page(HTMLParser):
    """The elements, ids and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, name: str) -> list[str]:
        return [value for _, attrs in self.elements if (value := attrs.get(name)) is not None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_html(made(), folder, "A report")
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.long
def test_the_same_results_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    written = write_html(made(), tmp_path, "A report")
    assert len(written) == 1 + 2 * 10  # ten charts have something to show
    for path in written:
        assert path.read_bytes() == (folder / path.relative_to(tmp_path)).read_bytes()


def test_charts_lie_beside_it_under_stable_names(folder: Path) -> None:
    names = {path.stem for path in (folder / "charts").iterdir()}
    assert {"training_time", "throughput", "memory", "inference", "batch_size", "forest"} <= names
    for path in (folder / "charts").glob("*.png"):
        data = path.read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        assert b"pHYs" in data[:200]
        place = data.index(b"pHYs") + 4
        assert int.from_bytes(data[place : place + 4]) == 11811  # pixels per metre: 300 dpi


def test_it_loads_nothing_and_runs_only_its_own_script(page: str) -> None:
    found = Page(page)
    policy = next(attrs["content"] for tag, attrs in found.elements if attrs.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
        assert tag != "script" or len(inside) < 10_000
    assert not found.all("src")
    assert not found.all("style")
    assert all(target.startswith("#") for target in found.all("href") + found.all("xlink:href"))


def test_ids_are_unique_and_links_lead_somewhere(page: str) -> None:
    found = Page(page)
    ids = found.all("id")
    assert len(ids) == len(set(ids))
    targets = {target[1:] for target in found.all("href") + found.all("xlink:href")}
    targets |= set(re.findall(r"url\(#([^)]+)\)", page))
    assert targets <= set(ids)


def test_the_first_screen_comes_first(page: str) -> None:
    places = [page.index(f'id="{name}"') for name in ("answer", "distrust", "advice", "comparisons", "rows", "reading")]
    assert places == sorted(places)
    assert "jax is 1.24 times as fast as pytorch (95 % interval" in page[: page.index('id="distrust"')]


def test_every_cell_of_the_results_is_in_the_page(page: str) -> None:
    table = page[page.index('id="table-rows"') :]
    rows = table[: table.index("</table>")].count("<tr>") - 1
    assert rows == 3 * 3 * 2  # frameworks, models, batch sizes


def test_a_control_character_in_a_name_is_text_in_the_charts(tmp_path: Path) -> None:
    name = "\x1b[31m\ufffe\u202ered\n"  # at the front, where no shortening cuts it off; XML can hold none of these
    with no_pictures():
        write_html(made(frameworks=[name, "b"], models=[name], batch_sizes=[32], blocks=2), tmp_path, "x")
    for path in (tmp_path / "charts").glob("*.svg"):
        assert "\\u001b[31m\\ufffe\\u202ered\\u000a" in path.read_text(encoding="utf-8")


def test_hostile_names_are_text(tmp_path: Path) -> None:
    results = made(frameworks=[HOSTILE, "b"], models=[HOSTILE, "m"], batch_sizes=[32], blocks=2, failed=["b"])
    with no_pictures():
        write_html(results, tmp_path, HOSTILE)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    found = Page(text)
    assert [tag for tag, _ in found.elements].count("script") == 1
    assert "img" not in {tag for tag, _ in found.elements}
    assert not any(name.startswith("on") for _, attrs in found.elements for name in attrs)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\u001b[31m" in text  # shown, not acted on
    for path in (tmp_path / "charts").glob("*.svg"):
        assert "<img" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"interrupted": True}, "The run was stopped before its last trial"),
        ({"blocks": 1}, "One block shows no difference"),
        ({"failed": ["jax"]}, "RuntimeError: made to fail"),
        ({"frameworks": ["jax"]}, "Nothing was compared"),
        ({"verified": False}, "Not verified"),
    ],
)
def test_what_a_reader_must_know_is_said(options: dict[str, Any], says: str, tmp_path: Path) -> None:
    write_html(
        made(**({"models": ["mlp"], "batch_sizes": [32], "blocks": 2} | options)), tmp_path, "x", with_charts=False
    )
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert says in text
    assert 'id="charts"' not in text


def test_nothing_at_all_is_a_report(tmp_path: Path) -> None:
    nothing = evolve(made(frameworks=["jax"], models=["mlp"], blocks=1), records=(), parity=())
    write_html(nothing, tmp_path, "nothing")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "No trial has ended." in text
    assert not (tmp_path / "charts").exists()


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; from mlbench_core.cli import main; sys.argv[0] = 'mlbench'; main()"
    return subprocess.run(
        [sys.executable, "-c", code, "report", *arguments], capture_output=True, text=True, cwd=cwd, check=False
    )


@pytest.fixture(scope="module")
def results_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    return save(made(models=["mlp"], batch_sizes=[32], blocks=2), folder / "benchmark_results.json")


def test_the_command_takes_a_file_or_a_folder(results_file: Path, tmp_path: Path) -> None:
    for place, given in enumerate((results_file, results_file.parent)):
        found = run("--results", str(given), "--output", f"out{place}", "--no-charts", "--title", "T", cwd=tmp_path)
        assert (found.returncode, found.stderr) == (0, "")
        assert found.stdout == f"out{place}/report.html\n"
    assert (tmp_path / "out0/report.html").read_bytes() == (tmp_path / "out1/report.html").read_bytes()
    found = run("--results", str(results_file), "--output", "md", "--format", "markdown", cwd=tmp_path)
    assert found.stdout == "md/RESULTS.md\nmd/ANALYSIS.md\n"


def broken(text: str, how: str) -> str:
    return {
        "truncated": text[: len(text) // 2],
        "empty": "",
        "not json": "models: [mlp]",
        "a list": "[]",
        "foreign": '{"schema": "somebody-else", "schema_version": 1}',
        "newer": text.replace(f'"schema_version": {SCHEMA_VERSION}', '"schema_version": 99'),
        "older": text.replace(f'"schema_version": {SCHEMA_VERSION}', '"schema_version": 2'),
        "without records": text.replace('"records"', '"recordings"'),
        "an unknown field": text.replace('"num_epochs"', '"number_of_epochs"', 1),
        "a text for a number": re.sub(r'"wall_s": [\d.]+', '"wall_s": "soon"', text, count=1),
        "a configuration that cannot be": text.replace('"blocks": 2', '"blocks": -2', 1),
    }[how]


@pytest.mark.parametrize(
    "how",
    ["truncated", "empty", "not json", "a list", "foreign", "newer", "older", "without records", "an unknown field",
     "a text for a number", "a configuration that cannot be"],
)  # fmt: skip
def test_a_broken_file_is_one_line_and_status_2(how: str, results_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "broken.json"
    file.write_text(broken(results_file.read_text(encoding="utf-8"), how), encoding="utf-8")
    found = run("--results", "broken.json", cwd=tmp_path)
    assert found.returncode == 2
    assert found.stdout == ""
    assert found.stderr.startswith("mlbench: error: broken.json: ")
    assert found.stderr.count("\n") == 1
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("given", ["no-such-file", "."])
def test_what_is_not_there_is_one_line_and_status_2(given: str, tmp_path: Path) -> None:
    found = run("--results", given, cwd=tmp_path)
    assert found.returncode == 2
    assert found.stderr.count("\n") == 1


def test_loading_gives_back_what_was_saved(results_file: Path) -> None:
    results = made(models=["mlp"], batch_sizes=[32], blocks=2)
    assert Results.load(results_file) == Results.load(results_file.parent) == results


def test_a_page_of_very_many_is_capped_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("mlbench_core.report.sections.COMPARISONS", 10)
    monkeypatch.setattr("mlbench_core.report.trials.TRIALS", 5)
    results = made(models=["mlp"], batch_sizes=[32, 64], blocks=2)
    write_html(results, tmp_path, "many", with_charts=False)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    compared = page[page.index('id="table-comparisons"') :].partition("</table>")[0]
    assert compared.count("<tr>") == 1 + 10
    assert f"The first 10 of {len(results.comparisons)}; the JSON file has all." in compared
    assert page.count('<details class="arm">') == 2  # two blocks each
    assert "The last 7 of 9 arms are in the JSON file alone" in page
