"""The examples without running them: each is in the table, and nothing but what `mlbench new` writes is in the wheel."""

import re
import tomllib
from pathlib import Path

from mlbench_core.testing.scaffold import EXAMPLES

ROOT = Path(__file__).parents[1]
FOLDERS = {path.parent.name for path in ROOT.glob("examples/*/README.md")}


def test_the_table_names_every_example() -> None:
    table = re.findall(r"^\| \[(\w+)\]\((\w+)\) \|", (ROOT / "examples" / "README.md").read_text("utf-8"), re.MULTILINE)
    assert all(name == link for name, link in table)
    assert sorted(name for name, _ in table) == sorted(FOLDERS)


def test_every_example_has_tests() -> None:
    assert len(FOLDERS) >= 5
    for name in FOLDERS:
        assert list((ROOT / "examples" / name).rglob("test_*.py")), f"nox -s examples would run nothing of {name}"


def test_the_wheel_holds_what_new_writes() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    kinds = {f"examples/third_party_{kind}": f"mlbench_core/testing/templates/third_party_{kind}" for kind in EXAMPLES}
    assert build["force-include"] == kinds
