"""Every block of code and every command of the documents is executed: here, or by the test or session that it is listed with.

Configurations are read at once. Commands and stories, which are documents whose blocks belong together, take seconds each: `nox
-s docs` runs them, with what only they need (autograd).
"""

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from documents import BLOCKS, DOCUMENTS, ROOT, TINY, Block, blocks, installed, over_soon, put, run, soon, tiny

from mlbench_core.config import Config
from mlbench_core.errors import ConfigError
from mlbench_core.keys import check

STORIES = {
    "docs/tutorial/add-a-model.md": ("--models",),
    "docs/tutorial/add-a-framework.md": ("--models", "--frameworks"),
    "docs/how-to/own-data.md": (),
    "docs/how-to/mlbenchfile.md": ("--models",),
    "docs/how-to/embedding.md": (),
}
"""Documents whose blocks are executed one after another in one folder, and options of their commands that stay as they are."""

ELSEWHERE = {
    r"python -m pip install -c constraints\S* .*": "nox:wheels",  # installs built packages and runs them
    r"python -m pip install --find-links .*": "nox:wheels",
    r"python -m pip install nox && python -m nox -s \w+": "tests/test_documents.py::test_sessions_of_documents_are_there",
    r"python -m pip install nox": "tests/test_documents.py::test_sessions_of_documents_are_there",
    r"python -m nox -s .*": "tests/test_documents.py::test_sessions_of_documents_are_there",
    r"mlbench env create .*": "nox:versions",  # downloads another version of a framework
    r"mlbench run --executor ray.*": "nox:ray",  # needs a cluster
    r"ray (start|stop).*": "nox:ray",
    r"mlbench run --profile matched": "nox:quickstart",  # NumPy compiles nothing
}
"""Commands, as patterns, that are not executed here, each with the session or test that does what it says."""

BLOCKS_ELSEWHERE = {
    ("README.md", "python"): "tests/test_documents.py::test_the_readmes_example_runs",
    ("docs/how-to/ci.md", "yaml"): "tests/compare/test_ci.py::test_the_workflow_does_what_the_document_says",
    ("plugins/mlbench-torch/README.md", "python"): "tests/frameworks/test_readmes.py::test_the_layer_of_the_readme",
    ("plugins/mlbench-tf/README.md", "python"): "tests/frameworks/test_readmes.py::test_the_layer_of_the_readme",
    ("plugins/mlbench-jax/README.md", "python"): "tests/frameworks/test_readmes.py::test_the_layer_of_the_readme",
}
"""Blocks that are no commands, by document and language."""

PRINTED = {"README.md": 1, "CONTRIBUTING.md": 1, "docs/reference/events.md": 1, "docs/how-to/unattended.md": 1}
"""How many blocks of a document have no language: drawings, and what is printed."""


def elsewhere(command: str) -> str | None:
    """The session or test that a command is listed with."""
    return next((who for pattern, who in ELSEWHERE.items() if re.fullmatch(pattern, command)), None)


ALONE = [
    pytest.param(command, id=f"{Path(block.document).name} {command}")
    for block in BLOCKS
    if block.document not in STORIES
    for command in block.commands
    if elsewhere(command) is None
]
"""Commands that are executed each by itself."""


def test_every_block_has_somebody_who_executes_it() -> None:
    for block in BLOCKS:
        told = block.document in STORIES or bool(block.commands) or block.language == "yaml"
        listed = (block.document, block.language) in BLOCKS_ELSEWHERE
        assert told or listed or not block.language, f"{block.document}: nobody executes\n{block.text}"
    counts = {path: sum(not block.language for block in BLOCKS if block.document == path) for path in PRINTED}
    assert counts == PRINTED
    assert not [b for b in BLOCKS if not b.language and b.document not in PRINTED]


def test_no_fence_is_overlooked() -> None:
    for path in DOCUMENTS:
        fences = len(re.findall(r"^\s*```", path.read_text(encoding="utf-8"), re.MULTILINE))
        assert fences == 2 * len(blocks(path)), path


def test_who_is_listed_is_there_and_needed() -> None:
    commands = [command for block in BLOCKS for command in block.commands]
    unused = [pattern for pattern in ELSEWHERE if not any(re.fullmatch(pattern, command) for command in commands)]
    assert not unused
    assert {(block.document, block.language) for block in BLOCKS} >= set(BLOCKS_ELSEWHERE)
    for who in {*ELSEWHERE.values(), *BLOCKS_ELSEWHERE.values()}:
        if who.startswith("nox:"):
            assert f"\ndef {who[4:]}(session" in (ROOT / "noxfile.py").read_text(encoding="utf-8")
        else:
            file, _, name = who.partition("::")
            assert f"\ndef {name}(" in (ROOT / file).read_text(encoding="utf-8"), who


def configurations() -> list[Block]:
    return [b for b in BLOCKS if b.language == "yaml" and (b.document, "yaml") not in BLOCKS_ELSEWHERE]


@pytest.mark.parametrize("block", configurations(), ids=lambda block: Path(block.document).name)
def test_configurations_are_ones(block: Block) -> None:
    data = yaml.safe_load(block.text)
    assert check(data, block.document)
    assert Config.parse(data, block.document) != Config() or block.document == "README.md"


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """No framework but the reference, whatever is installed, and a cache that all share."""
    disabled = "mlbench-torch,mlbench-tf,mlbench-jax,mlbench-toy,mlbench-fakes,mlbench-faults,mlbench-shift"
    return {"MLBENCH_CACHE": str(tmp_path_factory.mktemp("cache")), "MLBENCH_DISABLE_PLUGINS": disabled}


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory, quick: dict[str, float], environment: dict[str, str]) -> Path:
    """A folder with a run in `results`, and with two to compare, `base` and `new`."""
    folder = tmp_path_factory.mktemp("commands")
    (folder / TINY).write_text(tiny(quick))
    run(["mlbench", "run", "--config", TINY, "--blocks", "2"], folder, environment)
    for name in ("base", "new"):
        shutil.copytree(folder / "results", folder / name)
    return folder


@pytest.mark.long
@pytest.mark.parametrize("command", ALONE)
def test_a_command_does_what_it_says(
    command: str, run_folder: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = tmp_path / "here"
    shutil.copytree(run_folder, folder)
    shutil.copytree(ROOT / "configs", folder / "configs")
    (folder / "docs").symlink_to(ROOT / "docs")  # for commands on the results in it
    (folder / "benchmark_results.json").symlink_to(ROOT / "docs" / "results" / "cpu" / "benchmark_results.json")
    for block in BLOCKS:  # the configurations of the documents, by the names that commands call them by
        if block.language == "yaml" and (name := re.match(r"# (\w+\.yaml)\n", block.text)):
            (folder / name[1]).write_text(block.text)
    place = str(tmp_path / "elsewhere")
    run(over_soon(command.replace("/tmp/mine", place), folder), folder, environment)


@pytest.mark.long
@pytest.mark.parametrize("document", STORIES)
def test_a_story_can_be_followed(
    document: str, tmp_path: Path, quick: dict[str, float], environment: dict[str, str]
) -> None:
    """From an empty folder, with the core alone: every file and every command, in their order."""
    (tmp_path / TINY).write_text(tiny(quick))
    environment = {**environment, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    for block in blocks(ROOT / document):
        if block.title:
            put(block, tmp_path)
            file = tmp_path / block.title
            file.write_text(soon(file.read_text(), quick))
        for command in block.commands:
            words = shlex.split(command)
            if words[:4] == ["python", "-m", "pip", "install"]:
                if words[4] == "-e":
                    source = installed(tmp_path / words[5].partition("[")[0])
                    environment["PYTHONPATH"] = os.pathsep.join((str(source), environment["PYTHONPATH"]))
            elif words[0] == "mlbench":
                run(over_soon(command, tmp_path, STORIES[document]), tmp_path, environment)
            else:
                run([sys.executable if words[0] == "python" else words[0], *words[1:]], tmp_path, environment)


WHOLE = '''"""B."""

from typing import Any


def f():
    return 1
'''
PART = """import re


def f():
    return 2


def g():
    return re
"""


def test_a_part_of_a_file_takes_its_place(tmp_path: Path) -> None:
    for text in (WHOLE, PART):
        put(Block(document="", language="python", title="a/b.py", text=text), tmp_path)
    text = (tmp_path / "a" / "b.py").read_text()
    assert text.startswith('"""B."""\n\nimport re\nfrom typing import Any\n\n\ndef f():\n    return 2\n')
    assert text.endswith("def g():\n    return re\n")


def test_commands_run_with_what_every_machine_has(tmp_path: Path, quick: dict[str, float]) -> None:
    found = over_soon("mlbench run --frameworks pytorch jax --models cnn --blocks 10 --epochs 1", tmp_path)
    wanted = "mlbench run --frameworks numpy --models mlp --blocks 2 --epochs 1 --config tiny.yaml --overwrite"
    assert found == shlex.split(wanted)
    same = "mlbench verify --models lenet"
    assert over_soon(same, tmp_path, ("--models",)) == shlex.split(same)
    with pytest.raises(ConfigError, match="nowhere"):
        over_soon("mlbench run --config nowhere.yaml", tmp_path)
    with pytest.raises(AssertionError, match="mlbench report"):
        run(["mlbench", "report", "--results", "nowhere"], tmp_path)
    assert "blocks=2" in soon("Suite(blocks=10)", quick)
