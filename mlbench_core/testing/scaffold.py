"""`mlbench new`: a package to begin with, made of the examples by another name, so that what is written is what is tested."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from mlbench_core.errors import ConfigError, PluginError

EXAMPLES = {"framework": "acorn", "model": "birch", "dataset": "cedar", "reporter": "dune"}
"""By kind, what its example is called; examples/third_party_KIND holds it."""
TEXTS = {".py", ".toml", ".md", ".typed"}
"""What an example is made of; whatever else lies there was left by a run of it."""
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def write_package(kind: str, name: str, into: Path) -> Path:
    """Writes the folder mlbench-NAME with a package of a kind of EXAMPLES, and returns its path.

    Raises ConfigError for a name that cannot be one, and if the folder is there or cannot be made.
    """
    if not NAME.fullmatch(name) or keyword.iskeyword(name) or name in ("all", "default", "core"):
        raise ConfigError(
            f"new: {name!r} cannot be a name: give small letters, digits and single dashes, such as 'my-{kind}'"
        )
    folder = into / f"mlbench-{name}"
    if folder.exists():
        raise ConfigError(f"new: {folder} exists: give another name, or move it away")
    try:
        for path, text in files_of(kind, name).items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"new: cannot write {folder}: {error.strerror or error}") from None
    return folder


def files_of(kind: str, name: str) -> dict[str, str]:
    """The content of each file of the package, by its path in the folder: the example's, with `name` for the example's name."""
    source, old = _examples() / f"third_party_{kind}", EXAMPLES[kind]
    files = {path.relative_to(source): path for path in sorted(source.rglob("*")) if path.suffix in TEXTS}
    if not files:
        raise PluginError(f"new: the examples are not in {source}: reinstall mlbench-core")
    return {
        renamed(place.as_posix(), old, name): renamed(path.read_text("utf-8"), old, name)
        for place, path in files.items()
    }


def renamed(text: str, old: str, name: str) -> str:
    """The text with `name` for the word `old`: as Python writes it (my_name, MyName), and as users do (my-name) in a pair of
    quotes, before " =" at a line's start, after "mlbench-", and after a command's option or in prose of the README."""
    identifier = name.replace("-", "_")
    text = text.replace(f"mlbench-{old}", f"mlbench-{name}").replace(f'"{old}"', f'"{name}"')
    text = re.sub(rf"^{old} = ", f"{name} = ", text, flags=re.MULTILINE)
    text = re.sub(rf"(--\w+ (?:\w+ )?|The (?:framework|model|data set|reporter) ){old}\b", rf"\g<1>{name}", text)
    return text.replace(old.capitalize(), "".join(map(str.capitalize, name.split("-")))).replace(old, identifier)


def todos(folder: Path) -> list[str]:
    """The comments TODO of a package in their order: the place, and what is to be done."""
    found = [
        (int(number), f"{path.relative_to(folder.parent)}:{line}: {what.strip()}")
        for path in sorted(folder.rglob("*.py"))
        for line, number, what in _comments(path)
    ]
    return [f"TODO {number} {text}" for number, text in sorted(found)]


def _comments(path: Path) -> Iterator[tuple[int, str, str]]:
    """(line, number, text) of each, with the comment lines that go on with it."""
    lines = path.read_text("utf-8").splitlines()
    for place, text in enumerate(lines):
        found = re.search(r"# TODO (\d+): (.*)", text)
        if found:
            more = takewhile(lambda line: line.lstrip().startswith("# "), lines[place + 1 :])
            yield place + 1, found[1], " ".join([found[2], *(line.lstrip("# ") for line in more)])


def _examples() -> Path:
    """They are in the wheel; a checkout has them at its root."""
    packaged = Path(__file__).with_name("templates")
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "examples"
