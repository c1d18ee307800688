"""`mlbench compare` as it is typed: exports exist whatever the status, hostile names break nothing, statuses hold."""

import csv
import io
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from made import made

from mlbench_core import Results
from mlbench_core.results.storage import save

HOSTILE = "<img onerror=x>|$m$\n::error::x\x1b[31m=1"


def slower(results: Results, by: float) -> Results:
    records = []
    for record in results.records:
        m = record.measured
        times = {name: [by * value for value in getattr(m, name)] for name in ("values", "latencies")}
        records.append(evolve(record, measured=evolve(m, **times)))
    return evolve(results, records=tuple(records))


def run(**options: Any) -> Results:
    return made(**({"models": ["mlp"], "batch_sizes": [32], "noise": 0.005} | options))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    base = run()
    for name, results in {
        "base": base,
        "slow": slower(base, 1.2),
        "other": run(models=["bert-tiny"]),
        "hostile": run(models=[HOSTILE]),
        "hostile-slow": slower(run(models=[HOSTILE]), 1.2),
    }.items():
        save(results, folder / name / "benchmark_results.json")
    (folder / "cut.json").write_text((folder / "base/benchmark_results.json").read_text()[:500])
    return folder


def compare(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from mlbench_core.cli import main; sys.argv[0] = 'mlbench'; main()"
    return subprocess.run(
        [sys.executable, "-c", code, "compare", *arguments], capture_output=True, text=True, cwd=folder, check=False,
        env={**os.environ, "COLUMNS": "200", **environment},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["base", "base"], 0),
        (["base", "base", "--fail-on", "slower,missing,not-comparable,failed", "--strict"], 0),
        (["base", "slow"], 0),
        (["base", "slow", "--fail-on", "slower"], 1),
        (["slow", "base", "--fail-on", "slower"], 0),
        (["base", "slow", "--fail-on", "slower", "--threshold", "30%"], 0),
        (["base", "slow", "--fail-on", "slower", "--threshold", "30%", "--threshold", "mlp/infer/*=5%"], 1),
        (["base", "other"], 3),
        (["base", "base", "slow", "--fail-on", "slower"], 1),
        (["base", "slow", "--control", "pytorch", "--fail-on", "slower"], 0),
    ],
)
def test_statuses(arguments: list[str], status: int, folder: Path) -> None:
    done = compare(folder, *arguments)
    assert done.returncode == status, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith(f"status {max(status, 0)}")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["base"], "compare takes a base and at least one other run"),
        (["base", "cut.json"], "cut.json"),
        (["base", "no-such"], "no-such"),
        (["base", "base", "--fail-on", "slow"], "--fail-on: unknown condition 'slow'"),
        (["base", "base", "--threshold", "x"], "--threshold: 'x'"),
        (["base", "base", "--threshold", "100%"], "of at least 0 % and less than 100 %"),
        (["base", "base", "--metrics", "speed"], "--metrics: unknown metric 'speed'"),
        (["base", "base", "--format", "pdf"], "--format: unknown format 'pdf'"),
        (["base", "base", "--export", "x.pdf"], "--export: 'x.pdf'"),
        (["base", "base", "--github"], "--github: GITHUB_STEP_SUMMARY is not set"),
    ],
)
def test_usage_and_unreadable_files_are_one_line_and_status_2(arguments: list[str], says: str, folder: Path) -> None:
    done = compare(folder, *arguments, GITHUB_STEP_SUMMARY="")
    assert done.returncode == 2, done.stdout + done.stderr
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("new", "status"), [("slow", 1), ("other", 3)])
def test_exports_exist_whatever_the_status(new: str, status: int, folder: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"out{suffix}" for suffix in (".md", ".json", ".csv", ".html", ".xml")]
    exports = [word for file in files for word in ("--export", str(file))]
    done = compare(folder, "base", new, "--fail-on", "slower", *exports)
    assert done.returncode == status
    for file in files:
        assert file.stat().st_size > 0
    data = json.loads((tmp_path / "out.json").read_text())
    assert data["status"] == status
    assert (tmp_path / "out.md").read_text().rstrip().endswith("<!-- mlbench-compare -->")


def test_hostile_names_leave_every_format_well_formed(folder: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    exports = [
        word for suffix in ("md", "csv", "xml", "html") for word in ("--export", str(tmp_path / f"out.{suffix}"))
    ]
    done = compare(folder, "hostile", "hostile-slow", *exports, "--github", GITHUB_STEP_SUMMARY=str(summary))
    assert done.returncode == 0, done.stderr
    assert "\x1b[31m" not in done.stdout
    commands = [line for line in done.stdout.splitlines() if line.startswith("::")]
    assert len(commands) == 6
    assert all(line.startswith("::error title=slower::") for line in commands)
    table = re.findall(r"^\|.*\|$", (tmp_path / "out.md").read_text(), re.MULTILINE)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {11}
    rows = list(csv.reader(io.StringIO((tmp_path / "out.csv").read_text())))
    assert {len(row) for row in rows} == {10}
    suite = ET.parse(tmp_path / "out.xml").getroot()[0]
    assert suite.get("failures") == "6"
    assert "<img" not in (tmp_path / "out.html").read_text()
    assert "mlbench-compare" in summary.read_text()


def test_the_markdown_leaves_out_whole_sections_for_length(folder: Path, tmp_path: Path) -> None:
    many = run(models=[f"model-with-a-rather-long-name-{i:03}" for i in range(100)], blocks=2, queries=20, values=3)
    save(many, tmp_path / "many.json")
    done = compare(folder, str(tmp_path / "many.json"), str(tmp_path / "many.json"), "--format", "markdown")
    assert len(done.stdout) < 65_000
    assert (
        "Left out for length: Every cell (902 lines)" in done.stdout
    )  # 3 frameworks x 100 models x 3 metrics, and the head
    assert done.stdout.rstrip().endswith("<!-- mlbench-compare -->")


def test_a_folder_of_runs_is_one_side(folder: Path, tmp_path: Path) -> None:
    for name, factor in (("one", 1.0), ("two", 1.01), ("three", 0.99)):
        save(slower(run(), factor), tmp_path / "runs" / name / "benchmark_results.json")
    done = compare(folder, str(tmp_path / "runs"), str(tmp_path / "runs"), "--format", "json")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data["several_runs"] is True
    assert {tuple(one["blocks"]) for one in data["judged"]} == {(3, 3)}


def test_it_is_readable_at_80_columns(folder: Path) -> None:
    done = compare(folder, "base", "slow", COLUMNS="80")
    table = done.stdout[done.stdout.index("speed of the new run") :]
    assert "…" not in table
    assert "slower" in table
