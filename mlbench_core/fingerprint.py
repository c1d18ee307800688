"""What code computes, as one short text that changes with the code: for whatever is kept from one run to the next.

Sources are read, never imported: what a module imports is what its import statements name, wherever in it they stand, but for
types alone (`if TYPE_CHECKING:`), which compute nothing. What it imports in another way (`importlib.import_module`, import
strings) has to be named by the caller.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.machinery
import importlib.util
import json
import platform
import re
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.metadata import Distribution, distributions, version
from pathlib import Path

INSTALLED = {"site-packages", "dist-packages"}
"""Names of the folders that hold what was installed from wheels."""


def of_modules(*names: str) -> str:
    """A hash of the modules of these names and of all that they import, directly or not.

    It holds the content of the modules' own packages and of every module that is not installed from a wheel; the version of
    each distribution that is; and Python's, for the standard library. Where the files lie makes no difference. A module that
    cannot be found counts as absent, so that the hash changes once it is there.
    """
    own = {name.partition(".")[0] for name in names}
    found: dict[str, str] = {}
    waiting = {part for name in names for part in _with_parents(name)}
    while waiting:
        name = waiting.pop()
        top = name.partition(".")[0]
        if name in found or top in sys.stdlib_module_names:
            continue
        place = origin(name)
        if place is None:
            found[name] = "absent"
        elif top not in own and not INSTALLED.isdisjoint(place.parts):
            found[name] = _versions(top)
        else:
            content = place.read_bytes()
            found[name] = hashlib.sha256(content).hexdigest()
            if place.suffix == ".py":
                package = name if place.name == "__init__.py" else name.rpartition(".")[0]
                waiting |= {part for each in _imports(content, package) for part in _with_parents(each)}
    facts = [platform.python_version(), sorted(found.items())]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:20]


def origin(name: str) -> Path | None:
    """The file of a module, found without importing anything; None if there is none, as for a folder without `__init__.py`."""
    top, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # a module that was made by hand has no spec
        return None
    for end in range(2, len(rest) + 2):
        if spec is None or spec.submodule_search_locations is None:
            return None
        part = ".".join(name.split(".")[:end])
        spec = importlib.machinery.PathFinder.find_spec(part, spec.submodule_search_locations)
    if spec is None or spec.origin is None or not spec.has_location:
        return None
    return Path(spec.origin) if Path(spec.origin).is_file() else None


def _with_parents(name: str) -> Iterable[str]:
    """The module and the packages that are imported before it: "a.b.c" -> "a", "a.b", "a.b.c"."""
    parts = name.split(".")
    return (".".join(parts[:end]) for end in range(1, len(parts) + 1))


@lru_cache(maxsize=4096)
def _imports(source: bytes, package: str) -> frozenset[str]:
    """The modules that a source may import; what is imported from a package may be a module of it or only a name in it."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return frozenset()
    names = set()
    for node in _statements(tree.body):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return frozenset(names - {""})


def _statements(block: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Those of a block and of all blocks in them, without what is there for type checkers."""
    for node in block:
        yield node
        skipped = "body" if isinstance(node, ast.If) and _for_types(node.test) else ""
        for name in BLOCKS:
            if name != skipped:
                yield from _statements(getattr(node, name, ()))


BLOCKS = ("body", "orelse", "handlers", "finalbody", "cases")
"""What holds statements, in those that hold any: a module that imports is found without its expressions."""


def _for_types(test: ast.expr) -> bool:
    """Whether a condition is `TYPE_CHECKING`, or that of a module."""
    return "TYPE_CHECKING" in (getattr(test, "id", ""), getattr(test, "attr", ""))


def _absolute(node: ast.ImportFrom, package: str) -> str:
    """The module behind `from ..module import name` in a package."""
    if not node.level:
        return node.module or ""
    above = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*above, *([node.module] if node.module else [])])


def _versions(package: str) -> str:
    """The versions of the distributions that hold an installed package."""
    names = {each.metadata["Name"] for each in _distributions().get(package, ())}
    return " ".join(f"{name} {version(name)}" for name in sorted(names))


@lru_cache(maxsize=1)
def _distributions() -> dict[str, list[Distribution]]:
    """Those that hold each package or module, as `importlib.metadata.packages_distributions` finds them. That parses what
    distributions say of themselves, and takes a tenth of a second."""
    found: dict[str, list[Distribution]] = {}
    for each in distributions():
        declared = (each.read_text("top_level.txt") or "").split()
        for name in declared or {*TOP.findall(each.read_text("RECORD") or "")}:
            found.setdefault(name, []).append(each)
    return found


TOP = re.compile(r"^(\w+)(?:/|\.py,|(?:\.[\w-]+)*\.(?:so|pyd),)", re.MULTILINE)
"""What a line of RECORD makes importable: `numpy/__init__.py,...`, `six.py,...`, `_x.cpython-311-x86_64-linux-gnu.so,...`."""
