"""The documents: links lead somewhere, what they point at is there, README's example runs, tools are pinned once."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import reference_pages as pages
import typer

from mlbench_core.cli import app
from mlbench_core.keys import PHASES
from mlbench_core.results.row import RowStatus
from mlbench_core.version import VERSION

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(path for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("plugins/*/README.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"```(?:console|sh|bash)\n(.*?)```|(?<!`)`([^`\n]+)`(?!`)", re.DOTALL)


def written(text: str, program: str) -> list[list[str]]:
    """The words after a program's name, of each time that a document calls it, in a block of commands or within a sentence."""
    lines = [line for match in CODE.finditer(text) for line in (match[1] or match[2]).splitlines()]
    calls = [shlex.split(call, comments=True) for line in lines for call in line.split(" && ")]
    return [words[words.index(program) + 1 :] for words in calls if program in words[:3]]


def anchors(text: str) -> set[str]:
    """Of a document's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in LINK.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        place = (document.parent / file).resolve() if file else document
        assert place.exists(), f"{document.name}: {target}"
        if anchor:
            whole = pages.filled(place.read_text(encoding="utf-8"))
            assert anchor in anchors(whole), f"{document.name}: {target}"


def test_the_glossary_is_linked_from_the_readme() -> None:
    assert "docs/explanation/glossary.md" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_outcome_is_documented_and_no_other() -> None:
    text = (ROOT / "docs" / "reference" / "outcomes.md").read_text(encoding="utf-8")
    status, rejected = get_args(RowStatus)
    table = re.findall(r"^\| `([\w-]+)` \| [A-Z]", text, re.MULTILINE)
    assert sorted(table) == sorted([*get_args(status), *get_args(rejected)])
    assert f"Phases: {', '.join(PHASES)}." in " ".join(text.split())


def test_what_contributing_points_at_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = set(re.findall(r"`((?:[\w.-]+/)*[\w.-]+(?:\.py|\.toml|\.yaml|\.txt|/))`", text))
    paths.discard("mlbenchfile.py")  # a user's
    assert len(paths) > 30
    for path in paths:
        assert (ROOT / path).exists() or (ROOT / "mlbench_core" / path).exists(), path
    for name, file in (("Row", "results/row.py"), ("KINDS", "report/charts/__init__.py"), ("USES", "report/advice.py")):
        assert re.search(
            rf"^(class )?{name}\b", (ROOT / "mlbench_core" / file).read_text(encoding="utf-8"), re.MULTILINE
        )
    assert "def run(" in (ROOT / "mlbench_core/runner/suite.py").read_text(encoding="utf-8")
    assert len(re.findall(r"^\d+\. \*", text, re.MULTILINE)) == 10


def test_no_file_of_the_core_passes_300_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in ROOT.glob("mlbench_core/**/*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert long == {}


@pytest.mark.long
def test_the_readmes_example_runs(tmp_path: Path, quick: dict[str, float]) -> None:
    """With the framework that comes with the core, and over at once."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert 'frameworks=["jax"]' in code
    code = code.replace('frameworks=["jax"]', f'frameworks=["numpy"], num_epochs=1, measure={quick}')
    environment = {**os.environ, "MLBENCH_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results" / "benchmark_results.json").is_file()


MLBENCH = [
    pytest.param(words, id=" ".join([path.name, *words]))
    for path in DOCUMENTS
    if path.name != "CHANGELOG.md"  # it tells of what was, too
    for words in written(path.read_text(encoding="utf-8"), "mlbench")
    if words and not any("..." in word for word in words)
]


@pytest.mark.parametrize("words", MLBENCH)
def test_the_command_line_takes_what_documents_say(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of commands and options and the number of arguments; nothing is run."""
    monkeypatch.chdir(ROOT)
    group = typer.main.get_command(app)
    parent = None
    while hasattr(group, "resolve_command"):
        parent = group.make_context("mlbench", list(words), parent=parent)
        words = [*parent._protected_args, *parent.args]
        if not words:
            return
        _, group, words = group.resolve_command(parent, words)
        assert group is not None
    group.make_context("mlbench", list(words), parent=parent)


def test_the_readme_tells_of_every_command() -> None:
    told = {words[0] for words in written((ROOT / "README.md").read_text(encoding="utf-8"), "mlbench") if words}
    assert set(typer.main.get_command(app).commands) <= told  # type: ignore[attr-defined]


def test_sessions_of_documents_are_there() -> None:
    sessions = set(re.findall(r"^@nox.session.*\ndef (\w+)", (ROOT / "noxfile.py").read_text(), re.MULTILINE))
    told = {
        words[words.index("-s") + 1]
        for path in DOCUMENTS
        for words in written(path.read_text(encoding="utf-8"), "nox")
        if "-s" in words
    }
    assert told == sessions


def test_documents_name_the_version_that_is_built() -> None:
    wheels = re.findall(r"mlbench-\w+==([\d.]+)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert set(wheels) == {VERSION}


def test_tools_have_one_version() -> None:
    pinned = dict(
        re.findall(r"^([\w-]+)==(.*)$", (ROOT / "constraints-dev.txt").read_text(encoding="utf-8"), re.MULTILINE)
    )
    hooks = dict(re.findall(r"([\w-]+)==([\w.]+)", (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")))
    assert hooks
    assert {name: pinned.get(name) for name in hooks} == hooks
    wanted = re.findall(
        r'"(ruff|mypy|import-linter|nox|pytest|pytest-xdist|hypothesis|jsonschema|build|playwright|mkdocs-material|mkdocstrings|mkdocstrings-python)"',
        (ROOT / "noxfile.py").read_text(),
    )
    assert set(wanted) <= set(pinned)


def test_the_version_is_written_once() -> None:
    holding = [
        str(path.relative_to(ROOT))
        for path in [
            *ROOT.glob("*.toml"),
            *ROOT.glob("*.py"),
            *ROOT.glob("plugins/*/*.toml"),
            *ROOT.glob("mlbench_core/**/*.py"),
        ]
        if f'"{VERSION}"' in path.read_text(encoding="utf-8")
    ]
    assert holding == ["mlbench_core/version.py"]
