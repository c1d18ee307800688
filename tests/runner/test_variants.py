"""Two variants of one framework in one run, in real processes: two arms of one group, told apart wherever people read."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest
from attrs import evolve

from mlbench_core import Results, Suite
from mlbench_core.compare.cells import cells_of
from mlbench_core.compare.kept import taken
from mlbench_core.reference import plugin
from mlbench_core.report.markdown import write_markdown
from mlbench_core.results.compared import TRAINING
from mlbench_core.runner.journal_reader import read
from mlbench_core.runner.resume import framework_differences, known_frameworks

pytestmark = pytest.mark.long

PLUGIN = """
from attrs import evolve
from mlbench_core.reference.plugin import *
from mlbench_core.reference import plugin

@hookimpl
def framework_info():
    return evolve(plugin.framework_info(), name="theirs")
"""
"""The reference once more, under another name."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with an environment in it that has a framework which this one has not."""
    folder = tmp_path_factory.mktemp("variants")
    more = folder / "more" / "theirs-3.0.dist-info"
    more.mkdir(parents=True)
    (more / "METADATA").write_text("Metadata-Version: 2.1\nName: mlbench-theirs\nVersion: 3.0\n")
    (more / "entry_points.txt").write_text("[mlbench.frameworks]\ntheirs = their_plugin\n")
    (more.parent / "their_plugin.py").write_text(PLUGIN)
    python = folder / "envs" / "old" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{more.parent}:$PYTHONPATH" exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def results(folder: Path, quick: dict[str, float]) -> Results:
    old = "envs/old/bin/python"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        suite = Suite(
            frameworks=["numpy", {"name": "numpy", "python": old, "label": "old"}, {"name": "theirs", "python": old}],
            models=["mlp"],
            num_epochs=1,
            blocks=2,
            output="out",
            measure=quick | {"min_seconds": 0.1, "turn_seconds": 0.05},
        )
        return suite.run()


ARMS = {"numpy", "old", "theirs"}


def test_they_are_arms_of_one_group_with_a_verdict_between_each_two(results: Results) -> None:
    assert [(record.status, record.reason) for record in results.records] == [("ok", "")] * 3 * 2 * 2
    training = [c for c in results.comparisons if c.metric == "training throughput"]
    assert {frozenset((c.a, c.b)) for c in training} == {
        frozenset(pair) for pair in (("numpy", "old"), ("numpy", "theirs"), ("old", "theirs"))
    }
    assert len({c.group for c in training}) == 1
    for c in training:
        assert c.verdict in ("faster", "slower", "equivalent", "inconclusive")
        assert c.ratio is not None
        assert c.ratio.blocks == 2


def test_records_say_where_they_ran(results: Results) -> None:
    for record in results.records:
        assert record.measured.python == sys.version.split()[0]
        assert record.measured.interpreter == sys.executable  # which the script in envs/old runs
        assert record.trial.label.startswith(record.trial.variant or record.trial.framework)


def test_each_is_verified_in_its_own_interpreter(results: Results, folder: Path) -> None:
    assert {(r.framework, r.variant, r.verdict) for r in results.parity} == {
        ("numpy", "", "verified"), ("numpy", "old", "verified"), ("theirs", "", "verified"),
    }  # fmt: skip
    logs = {path.name for path in (folder / "out" / "logs").iterdir() if path.name.startswith("verify-")}
    assert {"verify-old-cpu.log", "verify-theirs-cpu.log"} <= logs
    assert {row.parity.verdict for row in results.rows} == {"verified"}


def test_the_journal_tells_versions_by_the_label(results: Results, folder: Path) -> None:
    """What a resumed run holds against what each interpreter has now."""
    contents = read(folder / "out" / "journal.jsonl")
    assert contents is not None
    assert known_frameworks(contents) == ARMS
    assert set(contents.headers[0].versions) == {"numpy"}  # those that are installed here
    now = {name: evolve(plugin.framework_info(), version="0.1") for name in ("old", "numpy")}
    found = framework_differences(contents, {**now, "theirs": "no such file"})
    assert [line.split(":")[0] for line in found] == ["old", "numpy", "theirs cannot be used now"]
    assert found[0].endswith("0.1 now")


def test_files_keep_the_framework_and_name_the_variant(results: Results, folder: Path) -> None:
    with (folder / "out" / "benchmark_results.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {(line["framework"], line["variant"]) for line in lines} == {("numpy", ""), ("numpy", "old"), ("theirs", "")}
    data = json.loads((folder / "out" / "benchmark_results.json").read_text())
    entry = {"name": "numpy", "python": str(folder / "envs/old/bin/python"), "label": "old"}
    assert data["config"]["frameworks"] == ["numpy", entry, {"name": "theirs", "python": entry["python"]}]
    again = Results.load(folder / "out")
    assert again.rows == results.rows
    assert again.comparisons == results.comparisons
    assert set(results.to_dataframe(tidy=True)["variant"]) == {"", "old"}


def test_people_read_the_label(results: Results, folder: Path) -> None:
    write_markdown(results, folder, "two")
    text = (folder / "RESULTS.md").read_text()
    compared = text.split("- Compared: ")[1].split(" on mlp")[0]
    assert set(compared.replace(" and ", ", ").split(", ")) == ARMS
    rows = [line.split(" | ") for line in text.split("## Every arm")[1].splitlines() if line.startswith("| mlp")]
    assert {row[4] for row in rows} == ARMS
    parity = (folder / "out" / "parity.md").read_text()
    assert "| old | " in parity


def test_runs_are_matched_by_the_label(results: Results) -> None:
    cells = cells_of([taken(results, (TRAINING,))])
    assert {cell.name.split("/")[2] for cell in cells} == ARMS
    assert len(cells) == 6
    assert {side.parity for side in cells.values()} == {"verified"}
