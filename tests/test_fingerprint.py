"""A hash of code: it changes with everything that the code imports, and importing is not how it finds out."""

import importlib
import sys
from pathlib import Path

import pytest

from mlbench_core.fingerprint import of_modules, origin


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two packages and a module, none of which can be imported."""
    for name, code in {
        "fp_one/__init__.py": "raise SystemExit",
        "fp_one/a.py": "def f():\n    from .sub import b\n",
        "fp_one/sub/__init__.py": "from ..c import value",
        "fp_one/sub/b.py": "import fp_two.d, json",
        "fp_one/c.py": "value = 1",
        "fp_one/unused.py": "",
        "fp_two/__init__.py": "",
        "fp_two/d.py": "raise ValueError",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "fp_one/__init__.py",
        "fp_one/a.py",
        "fp_one/sub/__init__.py",
        "fp_one/sub/b.py",
        "fp_one/c.py",
        "fp_two/__init__.py",
        "fp_two/d.py",
    ],
)
def test_it_changes_with_each_module_that_takes_part(site: Path, name: str) -> None:
    before = of_modules("fp_one.a")
    assert of_modules("fp_one.a") == before
    (site / name).write_text((site / name).read_text() + "\n# something else")
    assert of_modules("fp_one.a") != before
    assert not {"fp_one", "fp_two"} & set(sys.modules)


def test_it_does_not_change_with_what_takes_no_part(site: Path) -> None:
    before = of_modules("fp_one.a")
    (site / "fp_one" / "unused.py").write_text("x = 1")
    assert of_modules("fp_one.a") == before


@pytest.mark.parametrize(
    "code",
    [
        "try: pass\nexcept ValueError: import fp_one.unused",
        "try: pass\nfinally: import fp_one.unused",
        "for _ in (): pass\nelse: import fp_one.unused",
        "match 1:\n    case 1: import fp_one.unused",
        "class C:\n    async def f(self):\n        with self as x, x: import fp_one.unused",
        "if not TYPE_CHECKING: import fp_one.unused",
        "if typing.TYPE_CHECKING: pass\nelif x: pass\nelse: import fp_one.unused",
    ],
)
def test_wherever_an_import_stands_it_counts(site: Path, code: str) -> None:
    (site / "fp_one" / "c.py").write_text(code)
    before = of_modules("fp_one.a")
    (site / "fp_one" / "unused.py").write_text("x = 1")
    assert of_modules("fp_one.a") != before


@pytest.mark.parametrize("condition", ["TYPE_CHECKING", "typing.TYPE_CHECKING"])
def test_what_is_imported_for_types_alone_takes_no_part(site: Path, condition: str) -> None:
    (site / "fp_one" / "c.py").write_text(f"if {condition}:\n    from fp_one.unused import x\nelse: import fp_two.d")
    before = of_modules("fp_one.a")
    (site / "fp_one" / "unused.py").write_text("x = 1")
    assert of_modules("fp_one.a") == before


def test_a_module_that_appears_or_disappears_changes_it(site: Path) -> None:
    before = of_modules("fp_one.a")
    (site / "fp_two" / "d.py").unlink()
    importlib.invalidate_caches()
    without = of_modules("fp_one.a")
    assert without != before
    (site / "fp_two" / "d.py").write_text("raise ValueError")
    importlib.invalidate_caches()
    assert of_modules("fp_one.a") == before


def test_what_is_installed_counts_by_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it is the code itself that is asked for: then by its content, for a version may be built twice."""
    site = tmp_path / "site-packages"
    (site / "fp_lib-1.dist-info").mkdir(parents=True)
    (site / "fp_lib-1.dist-info" / "top_level.txt").write_text("fp_lib\n")
    metadata = site / "fp_lib-1.dist-info" / "METADATA"
    metadata.write_text("Metadata-Version: 2.1\nName: fp-lib\nVersion: 1.0\n")
    (site / "fp_lib.py").write_text("")
    (tmp_path / "fp_user.py").write_text("import fp_lib")
    for place in (site, tmp_path):
        monkeypatch.syspath_prepend(str(place))
    from mlbench_core import fingerprint

    def now() -> tuple[str, str]:
        fingerprint._distributions.cache_clear()  # one process does not see a distribution change
        return of_modules("fp_user"), of_modules("fp_lib")

    first = now()
    (site / "fp_lib.py").write_text("x = 1")
    second = now()
    metadata.write_text("Metadata-Version: 2.1\nName: fp-lib\nVersion: 1.1\n")
    third = now()
    fingerprint._distributions.cache_clear()
    assert (first[0] == second[0], first[1] == second[1]) == (True, False)
    assert third[0] != second[0]


def test_distributions_are_those_that_python_finds() -> None:
    from importlib.metadata import packages_distributions

    from mlbench_core.fingerprint import _distributions

    found = {name: {each.metadata["Name"] for each in those} for name, those in _distributions().items()}
    expected = {name: set(those) for name, those in packages_distributions().items() if name.isidentifier()}
    assert "numpy" in expected
    assert {name: found.get(name) for name in expected} == expected


def test_where_the_code_lies_makes_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = set()
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "fp_moved.py").write_text("x = 1")
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(tmp_path / name))
            found.add(of_modules("fp_moved"))
    assert len(found) == 1


def test_what_has_no_file_or_cannot_be_parsed_is_no_error(site: Path) -> None:
    (site / "fp_broken.py").write_text("def (:")
    (site / "fp_folder").mkdir()
    assert origin("fp_broken") == site / "fp_broken.py"
    assert origin("fp_folder") is origin("fp_no_such.thing") is origin("sys") is None
    assert len({of_modules(name) for name in ("fp_broken", "fp_folder", "fp_no_such.thing")}) == 3
