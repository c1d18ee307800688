"""`mlbench new`: what it writes installs, passes its own tests, and is what the examples are."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mlbench_core import Suite
from mlbench_core.errors import ConfigError
from mlbench_core.testing.scaffold import EXAMPLES, files_of, todos, write_package

ROOT = Path(__file__).parents[2]
MLBENCH = str(Path(sys.executable).with_name("mlbench"))
PASSED = {"framework": 28, "model": 11, "dataset": 9, "reporter": 11}
"""Tests of the kit that a new package passes at least, without any work."""


def installed(package: Path, patch: pytest.MonkeyPatch) -> None:
    """As an editable install leaves it: the metadata, and the sources on the path, of this process and of those it starts."""
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    info = package / "src" / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"].items()
    text = "\n".join(f"[{group}]\n" + "\n".join(f"{k} = {v}" for k, v in entries.items()) for group, entries in groups)
    (info / "entry_points.txt").write_text(text)
    patch.setenv("PYTHONPATH", os.pathsep.join((str(package / "src"), os.environ.get("PYTHONPATH", ""))))
    patch.syspath_prepend(str(package / "src"))


def its_tests(package: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider", "-W", "error"]
    return subprocess.run(command, cwd=package, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize("kind", EXAMPLES)
@pytest.mark.long
def test_a_new_package_passes_its_tests_at_once(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = subprocess.run([MLBENCH, "new", kind, f"my-{kind}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    numbers = [int(found) for found in re.findall(r"^TODO (\d+) mlbench-my", done.stdout, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1)) != []
    package = tmp_path / f"mlbench-my-{kind}"
    installed(package, monkeypatch)
    done = its_tests(package)
    assert done.returncode == 0, done.stdout
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout
    assert int(passed[1]) >= PASSED[kind], done.stdout
    listed = json.loads(subprocess.run([MLBENCH, "plugins", "--json"], capture_output=True, text=True).stdout)
    assert f"my-{kind}" in {entry["name"] for entry in listed[f"{kind}s"]}
    assert not listed["broken"]


def test_a_new_framework_runs_beside_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: dict[str, float]
) -> None:
    package = write_package("framework", "mine", tmp_path)
    installed(package, monkeypatch)
    suite = Suite(
        frameworks=["numpy", "mine"], models=["mlp"], num_epochs=1, output=str(tmp_path / "out"), measure=quick
    )
    results = suite.run()
    assert [record.status for record in results.records] == ["ok"] * 4
    assert {one.framework: one.verdict for one in results.parity} == {"numpy": "verified", "mine": "verified"}


@pytest.mark.long
def test_a_finished_framework_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `unfinished` a layer that is not lowered fails its test, and the message names it."""
    package = write_package("framework", "mine", tmp_path)
    file = package / "tests" / "test_mine.py"
    file.write_text(re.sub("    unfinished = True.*\n", "", file.read_text()))
    installed(package, monkeypatch)
    done = its_tests(package)
    assert done.returncode == 1
    assert (
        "mine has no lowering for Conv2D (at layer): register one with @mlbench_mine.lowering.lower.register"
        in done.stdout
    )


@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_examples_own_name_gives_the_example(kind: str) -> None:
    """So a package that is written differs from a working one, which is linted and run, by its name alone."""
    example = ROOT / "examples" / f"third_party_{kind}"
    written = files_of(kind, EXAMPLES[kind])
    assert {"pyproject.toml", "README.md"} < set(written)
    for path, text in written.items():
        assert text == (example / path).read_text("utf-8")


@pytest.mark.parametrize("kind", EXAMPLES)
def test_nothing_of_the_example_is_left(kind: str) -> None:
    for path, text in files_of(kind, "else-where").items():
        assert EXAMPLES[kind] not in (path + text).lower(), path
        assert not re.search(r"elsewhere|else_where-|else-where\.", path + text)
        if path.endswith(".py"):
            compile(text, path, "exec")


@pytest.mark.parametrize("name", ["", "Mine", "two words", "a/b", "../up", "class", "all", "core", "-x", "x--y", "1x"])
def test_a_name_that_cannot_be_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be a name: give small letters, digits and single dashes"):
        write_package("model", name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "mlbench-mine").mkdir()
    with pytest.raises(ConfigError, match="mlbench-mine exists: give another name, or move it away"):
        write_package("model", "mine", tmp_path)
    assert not list((tmp_path / "mlbench-mine").iterdir())


def test_what_is_left_to_do_is_whole_sentences(tmp_path: Path) -> None:
    for kind in EXAMPLES:
        for line in todos(write_package(kind, f"my-{kind}", tmp_path)):
            assert "#" not in line
            assert not line.endswith((",", " a", " you"))
