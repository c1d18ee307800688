"""The blocks of code in the documents, and what a test makes of them: files in a folder, commands that are over soon."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import yaml
from attrs import frozen

from mlbench_core.config import Config

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("plugins/*/README.md")),
]
FENCE = re.compile(r"^```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
TINY = "tiny.yaml"


@frozen(kw_only=True)
class Block:
    """A block of code. document: its path in the repository. title: the file that it is, or a part of; else empty."""

    document: str
    language: str
    title: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Its lines, less comments and what is empty; none if it holds no commands."""
        if self.language not in ("console", "sh"):
            return []
        lines = (re.sub(r"(^|\s+)#.*$", "", line).strip() for line in self.text.splitlines())
        return [line for line in lines if line]


def blocks(path: Path) -> list[Block]:
    """Of a document, in their order."""
    name = str(path.relative_to(ROOT))
    return [
        Block(document=name, language=language, title=title, text=text)
        for language, title, text in FENCE.findall(path.read_text(encoding="utf-8"))
    ]


BLOCKS = [block for path in DOCUMENTS for block in blocks(path)]


def put(block: Block, folder: Path) -> None:
    """Writes a block's file: the whole of it if it begins as a file does, else its definitions in place of those of the same
    names, its imports above and what is new below."""
    file = folder / block.title
    if not file.exists() or block.text.startswith('"""'):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text, encoding="utf-8")
        return
    text = file.read_text(encoding="utf-8")
    for statement in ast.parse(block.text).body:
        part = _source(block.text, statement)
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            text = _imported(text, part)
        elif (old := _named(text, getattr(statement, "name", "_"))) is not None:
            text = text.replace(_source(text, old), part, 1)
        else:
            text = f"{text}\n\n{part}\n"
    file.write_text(text, encoding="utf-8")


def _imported(text: str, part: str) -> str:
    """With an import above the others, but for that of the future."""
    imports = (each for each in ast.parse(text).body if isinstance(each, (ast.Import, ast.ImportFrom)))
    first = next(each for each in imports if getattr(each, "module", "") != "__future__")
    lines = text.splitlines()
    return "\n".join([*lines[: first.lineno - 1], part, *lines[first.lineno - 1 :]]) + "\n"


def _named(text: str, name: str) -> ast.stmt | None:
    return next((each for each in ast.parse(text).body if name != "_" and getattr(each, "name", "") == name), None)


def _source(text: str, statement: ast.stmt) -> str:
    first = min([statement.lineno, *(each.lineno for each in getattr(statement, "decorator_list", []))])
    return "\n".join(text.splitlines()[first - 1 : statement.end_lineno])


def soon(code: str, quick: Mapping[str, float]) -> str:
    """Python that runs a Suite, with the framework that the core brings, two blocks and a measure that is over at once."""
    code = code.replace('frameworks=["jax"]', 'frameworks=["numpy"]').replace("blocks=10", "blocks=2")
    return code.replace('models=["mlp"]', f'models=["mlp"], num_epochs=1, measure={dict(quick)}')


HERE = {
    "--frameworks": ["numpy"],
    "--models": ["mlp"],
    "--devices": ["cpu"],
    "--batch-sizes": ["32"],
    "--blocks": ["2"],
}
"""What stands for what a machine may not have, or would take long for."""


def over_soon(command: str, folder: Path, kept: tuple[str, ...] = ()) -> list[str]:
    """The words of a command of mlbench as a test runs it: with what every machine has, and measured for a moment.

    kept: options that stay as they are. A configuration that is named must be one.
    """
    words = shlex.split(command)
    found: list[str] = []
    option = ""
    for word in words:
        if word.startswith("--"):
            option = word
            found += [word, *HERE.get(word, [])] if word not in kept else [word]
        elif option not in HERE or option in kept:
            found.append(word)
    if words[1:2] != ["run"]:
        return found
    if "--config" in found:
        place = found.index("--config") + 1
        named = folder / found[place]
        assert Config.load(str(named if named.exists() else found[place]))
        found[place] = TINY
    else:
        found += ["--config", TINY]
    return found if {"--resume", "--dry-run"} & set(found) else [*found, "--overwrite"]


def tiny(quick: Mapping[str, float]) -> str:
    """A configuration that is over soon."""
    return yaml.safe_dump(
        {"frameworks": ["numpy"], "models": ["mlp"], "num_epochs": 1, "threads": 1, "measure": dict(quick)}
    )


def run(words: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """What a command prints. Fails with its output if its status is not 0."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, "PATH": path, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, f"{shlex.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def installed(package: Path) -> Path:
    """What an editable install of a package writes, beside its sources; the folder that goes on the path."""
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    info = package / "src" / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"].items()
    text = "\n".join(f"[{group}]\n" + "\n".join(f"{k} = {v}" for k, v in entries.items()) for group, entries in groups)
    (info / "entry_points.txt").write_text(text)
    return package / "src"
