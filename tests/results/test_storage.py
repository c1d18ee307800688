"""A results file is written whole and read with distrust: what cannot be is one line that says where."""

import copy
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made import made

from mlbench_core import Config, Results
from mlbench_core.errors import ConfigError, MlbenchError, ResultsError
from mlbench_core.machine.facts import machine_facts
from mlbench_core.machine.known import MachineFacts
from mlbench_core.report.markdown import write_markdown
from mlbench_core.report.summary import comparison_table, summary_table
from mlbench_core.results.storage import NAME, SCHEMA, SCHEMA_VERSION, save
from mlbench_core.verify.rungs import ParityResult, Rung

CHECK = ParityResult(
    framework="toy",
    model="mlp",
    device="cpu",
    digest="abc",
    framework_version="1.0",
    rungs=(
        Rung(number=3, name="forward", error=math.nan, tolerance=1e-10, note="no float64"),
        Rung(number=5, name="training", error=math.inf, tolerance=1e-9),
    ),
)


@pytest.fixture(scope="module")
def results() -> Results:
    return made(models=("mlp",), batch_sizes=(32,), devices=("cuda:0",), blocks=3, queries=70)


@pytest.fixture(scope="module")
def file(results: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(results, tmp_path_factory.mktemp("stored") / NAME)


@pytest.fixture(scope="module")
def data(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_what_is_written_is_read(results: Results, file: Path) -> None:
    back = Results.load(file)
    assert back == results
    assert (back.rows, back.comparisons) == (results.rows, results.comparisons)
    assert Results.load(file.parent) == Results.load(str(file)) == results


def test_what_is_read_is_written_alike(file: Path, tmp_path: Path) -> None:
    again = save(Results.load(file), tmp_path / NAME)
    created = re.compile('"created": .*')
    assert created.sub("", again.read_text()) == created.sub("", file.read_text())


def test_the_file_is_json_as_everybody_reads_it(results: Results, tmp_path: Path) -> None:
    """JSON has neither NaN nor Infinity; other languages' readers refuse a file that holds them."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    path = save(evolve(results, parity=(CHECK,)), tmp_path / NAME)
    found = json.loads(path.read_text(), parse_constant=refuse)
    assert [rung["error"] for rung in found["parity"][0]["rungs"]] == ["NaN", "Infinity"]
    rungs = Results.load(path).parity[0].rungs
    assert rungs[0].absent
    assert rungs[1].error == math.inf


def test_the_layout_does_not_matter(results: Results, file: Path, tmp_path: Path) -> None:
    """A record per line is what lets a large file be read without its text in memory; JSON is JSON all the same."""
    path = tmp_path / NAME
    data = json.loads(file.read_text())
    path.write_text(json.dumps(data))
    assert Results.load(path) == results
    path.write_text(json.dumps(dict(sorted(data.items())), indent=2))
    assert Results.load(path) == results
    lines = file.read_text().splitlines(keepends=True)
    place = lines.index('"records": [\n')
    lines[place + 1] = lines[place + 1].replace("},\n", "}\n")
    path.write_text("".join(lines))
    assert f"not valid JSON at line {place + 3}" in told(path)


def test_the_text_of_a_large_file_is_not_held(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlbench_core.results.storage._whole", None)
    assert Results.load(file).records


def test_a_record_has_a_line(results: Results, file: Path) -> None:
    lines = file.read_text().splitlines()
    assert sum('"trial"' in line for line in lines) == len(results.records)


def test_results_of_nothing_can_be_kept(tmp_path: Path) -> None:
    nothing = Results(records=(), config={}, machines={})
    save(nothing, tmp_path / NAME)
    assert Results.load(tmp_path) == nothing


def told(path: Path, content: bytes | None = None) -> str:
    """The line that refuses a file."""
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ResultsError) as caught:
        Results.load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_files_that_are_none(tmp_path: Path, file: Path) -> None:
    path = tmp_path / "some.json"
    assert "there is no such file; `mlbench run` writes" in told(path)
    assert NAME in told(tmp_path)
    assert "is empty" in told(path, b"")
    assert "is empty" in told(path, b" \n")
    assert "cannot be read" in told(path, b"\xff\xfe")
    assert "not valid JSON at line 1, column 1" in told(path, b"framework,model\n")
    assert "nested too deep" in told(path, b"[" * 100_000)
    assert "number too long" in told(path, b"1" * 5_000)
    content = file.read_bytes()
    for length in (1, 20, content.index(b"true"), content.index(b"true") + 2, len(content) // 2, len(content) - 2):
        assert "the file ends too early" in told(path, content[:length])
    assert "line 1, column 2" in told(path, b"{schema: 3}")


@pytest.mark.parametrize("foreign", [b"[]", b"3", b"null", b"{}", b'{"schema": "other"}', b'{"benchmarks": []}'])
def test_files_of_others(tmp_path: Path, foreign: bytes) -> None:
    assert f"has no 'schema': '{SCHEMA}'" in told(tmp_path / "foreign.json", foreign)


@pytest.mark.parametrize(
    ("version", "line"),
    [
        (SCHEMA_VERSION + 1, f"of schema version {SCHEMA_VERSION + 1}, and this mlbench reads version {SCHEMA_VERSION}"),
        (SCHEMA_VERSION - 1, "no longer reads: run it again"),
        ("x" * 1000, "no longer reads"),
        (None, "no longer reads"),
    ],
)  # fmt: skip
def test_other_versions(tmp_path: Path, data: dict[str, Any], version: object, line: str) -> None:
    assert line in told(tmp_path / "version.json", json.dumps(data | {"schema_version": version}).encode())


def test_a_file_beyond_measure(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlbench_core.results.storage.LARGEST_FILE", 100)
    assert "is it the results file of one run?" in told(tmp_path / "large.json", file.read_bytes())


EDITS = {
    ("records", 0, "measured", "values", 3): ("fast", "records[0].measured.values[3]"),
    ("records", 1, "trial", "batch_size"): ("32", "records[1].trial.batch_size"),
    ("records", 1, "trial", "num_nodes"): (0, "records[1]: trial.num_nodes must be above 0"),
    ("records", 1, "trial", "task"): ("play", "records[1].trial.task"),
    ("records", 0, "measured", "first_step_s"): (-1.0, "records[0]: measured.first_step_s must not be negative"),
    ("records", 0, "measured", "latencies"): ([0.0], "records[0]: measured.latencies must be above 0"),
    ("records", 0, "measured", "step_latencies"): ([1e999], "records[0]: measured.step_latencies must be above 0"),
    ("records", 0, "measured", "memory", 0, "bytes"): (10**30, "records[0].measured.memory[0].bytes"),
    ("records", 0, "measured", "calibration"): (None, "records[0]: measured.calibration is missing"),
    ("records", 0, "observed", "timeline", "phase"): (["measure"], "observed.timeline must have columns as long"),
    ("records", 0, "notes"): ("", "'' is not a list @ records[0].notes"),
    ("records", 0, "measured", "epochs"): ({}, "{} is not a list @ records[0].measured.epochs"),
    ("records", 0, "measured", "phases"): ([], "[] is not a mapping @ records[0].measured.phases"),
    ("records", 0, "measured", "phases", "setup"): ("x", "'x' is not a number @ records[0].measured.phases['setup']"),
    ("parity", 0, "rungs"): ("letters", "'letters' is not a list @ parity[0].rungs"),
    ("records", 0, "surprise"): (1, "has unknown keys: 'surprise' @ records[0]"),
    ("records", 0): ([], "records[0]"),
    ("records",): ({}, "'records' is missing or of another type"),
    ("machines", "made", "cpu_busy_pct"): ("idle", "machines['made'].cpu_busy_pct"),
    ("parity", 0, "rungs", 0, "error"): (None, "parity[0].rungs[0].error"),
    ("config", "blocks"): ("many", "config: blocks: 'many' is not a whole number"),
    ("interrupted",): ("no", "'interrupted' is missing or of another type"),
}  # fmt: skip


@pytest.mark.parametrize("place", EDITS, ids=str)
def test_edits_are_found_where_they_are(tmp_path: Path, data: dict[str, Any], place: tuple[Any, ...]) -> None:
    value, line = EDITS[place]
    edited = changed(data, place, value)
    assert line in told(tmp_path / "edited.json", json.dumps(edited).encode())


def test_what_is_missing_is_named(tmp_path: Path, data: dict[str, Any]) -> None:
    edited = copy.deepcopy(data)
    del edited["records"][2]["trial"]["model"]
    assert "is missing @ records[2].trial.model" in told(tmp_path / "edited.json", json.dumps(edited).encode())


def changed(data: dict[str, Any], place: tuple[Any, ...], value: object) -> dict[str, Any]:
    found: Any = copy.deepcopy(data)
    inside = found
    for step in place[:-1]:
        inside = inside[step]
    inside[place[-1]] = value
    return dict(found)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place below a value of JSON; of long lists, the first."""
    if not isinstance(value, (dict, list)):
        return [at]
    steps = list(value) if isinstance(value, dict) else range(min(2, len(value)))
    return [at, *(place for step in steps for place in places(value[step], (*at, step)))]


READ = ("config", "interrupted", "machines", "parity", "records")
"""The rest is for other readers: rows and comparisons are computed again."""
STRANGE = [None, True, -1, 0, 1.5, 10**30, 1e-310, "x", "\ud800|<b>\x1b[0m\n", "NaN", [], [1], ["x"], {}, {"a": 1}]


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_edit_is_refused_or_harmless(tmp_path: Path, file: Path, draw: st.DataObject) -> None:
    data = json.loads(file.read_text())
    every = [place for key in READ for place in places(data[key], (key,))]
    place, value = draw.draw(st.sampled_from(every)), draw.draw(st.sampled_from(STRANGE))
    path = tmp_path / "edited.json"
    path.write_text(json.dumps(changed(data, place, value)))
    use(path, tmp_path / "report")


def use(path: Path, folder: Path) -> None:
    """What a report does with a file; one that is refused is refused when it is loaded."""
    try:
        results = Results.load(path)
    except MlbenchError as error:
        assert "\n" not in str(error)
        return
    results.to_dataframe()
    results.machine_flags()
    results.failures()
    summary_table(results)
    comparison_table(results.comparisons)
    write_markdown(results, folder, "edited")
    save(results, folder / NAME)


def test_facts_are_of_the_types_that_they_are_said_to_be() -> None:
    from mlbench_core.results.strict import structure

    facts = machine_facts()
    assert set(facts) == set(MachineFacts.__annotations__)
    structure(facts, MachineFacts, "facts")
    structure(facts | {"something": object()}, MachineFacts, "facts")  # executors of others may know more


def test_a_run_can_be_made_again_from_its_results_file(tmp_path: Path) -> None:
    results = made(models=["mlp"], batch_sizes=[32], blocks=2)
    path = save(results, tmp_path / "benchmark_results.json")
    assert Config.load(str(path)) == results.settings
    path.write_text(path.read_text().replace('"config": {', '"config": {,'))
    with pytest.raises(ConfigError, match="a results file whose configuration cannot be read"):
        Config.load(str(path))
