"""Which frameworks a run has: by name, by interpreter and by label; and what another interpreter is asked."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from mlbench_core.entry import Entry
from mlbench_core.errors import MlbenchError
from mlbench_core.installed import Found, Installed
from mlbench_core.runner.entries import entries_of
from mlbench_core.runner.interpreters import installed_in
from mlbench_core.version import VERSION


def installed(*names: str) -> Installed:
    return Installed(
        enabled=tuple(
            Found(name=name, module="m", distribution=f"mlbench-{name}", version="1", group="g") for name in names
        )
    )


HERE = installed("jax", "numpy", "pytorch")


@pytest.fixture
def other(tmp_path: Path) -> str:
    """An interpreter that is not the one that runs this."""
    path = tmp_path / "python"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    path.chmod(0o755)
    return str(path)


def entries(*asked: str | Entry, there: Installed | None = None, skip: tuple[str, ...] = ()) -> list[Entry]:
    def elsewhere(python: str, framework: str) -> Installed:
        assert there is not None, f"{python} was asked for {framework}"
        return there

    return entries_of(asked, HERE, elsewhere, skip)


def test_a_name_is_the_framework_that_is_installed_here() -> None:
    jax, torch = Entry("jax", sys.executable), Entry("pytorch", sys.executable)
    assert entries("torch", "jax", "pytorch") == [torch, jax]
    assert entries("all") == [jax, torch]


def test_two_of_one_framework_are_told_apart_by_their_labels(other: str) -> None:
    old = Entry("pytorch", other, "torch-2.12")
    found = entries("all", old, there=installed("numpy", "pytorch"))
    assert [entry.shown for entry in found] == ["jax", "pytorch", "torch-2.12"]
    assert found[-1] == old
    for one in (Entry("pytorch", other), "pytorch"):
        with pytest.raises(
            MlbenchError, match="two entries are called 'pytorch'; give each a label of its own, such as"
        ):
            entries(Entry("pytorch", sys.executable), one, Entry("torch", other), there=HERE)
    with pytest.raises(MlbenchError, match="two entries are called 'a'"):
        entries(Entry("pytorch", label="a"), Entry("jax", label="a"))


@pytest.mark.parametrize("label", ["jax", "tensorflow", "tf", "all", "numpy"])
def test_nothing_is_called_as_another_framework_is(label: str) -> None:
    with pytest.raises(
        MlbenchError, match=f"the label '{label}' is a framework's name; take another, such as pytorch-2"
    ):
        entries(Entry("pytorch", label=label))


def test_a_framework_of_another_interpreter_need_not_be_installed_here(other: str) -> None:
    assert entries(Entry("theirs", other), there=installed("theirs")) == [Entry("theirs", other)]
    with pytest.raises(
        MlbenchError, match=r"'tensorflow' is not installed in (\S+) \(installed: numpy\). Install it"
    ) as error:
        entries(Entry("tf", other), there=installed("numpy"))
    assert f"({other} -m pip install -c constraints.txt . ./plugins/mlbench-tf)" in str(error.value)
    with pytest.raises(MlbenchError, match=f"unknown framework 'pytroch'.* in {other}$"):
        entries(Entry("pytroch", other), there=installed("numpy"))


def test_one_is_left_out_by_its_label_or_by_its_framework(other: str) -> None:
    both = ("pytorch", Entry("pytorch", other, "old"), "jax")
    assert [e.shown for e in entries(*both, there=HERE, skip=("old",))] == ["pytorch", "jax"]
    assert [e.shown for e in entries(*both, skip=("torch",))] == ["jax"]
    with pytest.raises(MlbenchError, match="unknown framework 'odl': did you mean 'old'"):
        entries(*both, there=HERE, skip=("odl",))
    with pytest.raises(MlbenchError, match="--skip-frameworks old: no framework is left of old"):
        entries(both[1], skip=("old",))


def test_an_interpreter_is_asked_what_it_has(other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder where no checkout lies, with a plugin that only its own path has, and noise on its standard output."""
    plugin = tmp_path / "more" / "theirs-3.0.dist-info"
    plugin.mkdir(parents=True)
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: mlbench-theirs\nVersion: 3.0\n")
    (plugin / "entry_points.txt").write_text("[mlbench.frameworks]\ntheirs = their_plugin\n")
    (plugin.parent / "sitecustomize.py").write_text("print('welcome')\n")
    Path(other).write_text(f'#!/bin/sh\nPYTHONPATH="{plugin.parent}:$PYTHONPATH" exec {sys.executable} "$@"\n')
    monkeypatch.chdir(tmp_path)
    found = installed_in(other, "theirs").usable
    assert str(found["theirs"]) == "mlbench-theirs 3.0"
    assert "numpy" in found
    assert "theirs" not in installed_in(sys.executable, "numpy").usable
    monkeypatch.setenv("MLBENCH_DISABLE_PLUGINS", "mlbench-theirs")
    assert "theirs" not in installed_in(other, "theirs").usable


@pytest.mark.parametrize(
    ("core", "words"),
    [
        (
            'VERSION = "25.1.0"',
            rf"has mlbench-core 25\.1\.0, and this is mlbench-core {VERSION}; one run takes one version",
        ),
        ("raise ImportError", f"has no mlbench-core, and this is mlbench-core {VERSION}"),
    ],
)
def test_another_mlbench_there_is_one_line_that_says_which(
    core: str, words: str, other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlbench_core").mkdir()
    (tmp_path / "mlbench_core" / "__init__.py").touch()
    (tmp_path / "mlbench_core" / "version.py").write_text(core + "\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MlbenchError, match=words) as error:
        installed_in(other, "jax")
    assert f"Install {VERSION} there from a checkout ({other} -m pip install" in str(error.value)
    assert "./plugins/mlbench-jax" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "#!/bin/sh\necho 'cannot load libc' >&2; exit 127\n",
            "cannot be asked what it has installed: cannot load libc",
        ),
        ("#!/bin/sh\n", "cannot be asked what it has installed: it said nothing. Is it a Python of 3.11 or later"),
        ("no program", "cannot be asked what it has installed: .*Exec format error"),
    ],
)
def test_what_is_no_python_is_one_line(script: str, words: str, other: str) -> None:
    Path(other).write_text(script)
    assert os.access(other, os.X_OK)
    with pytest.raises(MlbenchError, match=f"frameworks: {other} {words}") as error:
        installed_in(other, "jax")
    assert "\n" not in str(error.value)
