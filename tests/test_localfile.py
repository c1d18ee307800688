"""The folder of an mlbenchfile.py: what lies in it can be imported, and never instead of what lies in another."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlbench_core import Suite
from mlbench_core.localfile import LocalFolder, enter


@pytest.fixture(autouse=True)
def _leave() -> Iterator[None]:
    enter(None)
    yield
    enter(None)


def folder(path: Path, value: int) -> LocalFolder:
    (path / "lf_package").mkdir(parents=True)
    (path / "lf_package" / "__init__.py").write_text("")
    (path / "lf_package" / "inner.py").write_text(f"value = {value}")
    (path / "mlbenchfile.py").write_text("from lf_package.inner import value\nseen = []")
    return LocalFolder(path)


def test_modules_of_one_folder_at_a_time_are_known(tmp_path: Path) -> None:
    path, modules = list(sys.path), set(sys.modules)
    one, two = (folder(tmp_path / str(value), value) for value in (1, 2))
    first, second = one.load(), two.load()
    assert (first.value, second.value) == (1, 2)
    assert importlib.import_module("mlbenchfile") is second
    enter(one)
    assert importlib.import_module("mlbenchfile") is first  # with its state: what its hooks have seen is not lost
    assert importlib.import_module("lf_package.inner").value == 1
    enter(None)
    assert sys.path == path
    assert set(sys.modules) == modules


def test_as_it_is_now_imports_anew_and_leaves_no_trace(tmp_path: Path) -> None:
    here = folder(tmp_path / "here", 1)
    before = here.load()
    (here.path / "lf_package" / "inner.py").write_text("value = 3")
    with here.as_it_is_now():
        now = importlib.import_module("mlbenchfile")
        assert now.value == 3
    assert importlib.import_module("mlbenchfile") is before
    assert importlib.import_module("lf_package.inner").value == 1


def test_what_was_imported_before_is_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as mlbench itself, for a file in its own checkout; and an environment in the folder."""
    here = folder(tmp_path / "here", 1)
    installed = here.path / "env" / "site-packages"
    installed.mkdir(parents=True)
    (installed / "lf_installed.py").write_text("")
    (here.path / "lf_before.py").write_text("")
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.syspath_prepend(str(here.path))
    before = importlib.import_module("lf_before")
    here.load()
    later = importlib.import_module("lf_installed")
    enter(None)
    assert sys.modules.pop("lf_before") is before
    assert sys.modules.pop("lf_installed") is later


LAYER = """
from attrs import frozen
from mlbench_core.architecture import Architecture, Dense, Layer, Optimizer, Sequential
from mlbench_core.hookspecs import ModelDescriptor, hookimpl
from mlbench_core.trial import ModelSource

@frozen
class Twice(Layer):
    pass

def mine(input_shape, num_classes):
    root = Sequential({"twice": Twice(), "head": Dense(num_classes)})
    rule = Optimizer(name="sgd", learning_rate=2**-9)
    return Architecture(name="mine", root=root, input_shape=input_shape, num_classes=num_classes, optimizer=rule)

def on_numpy():
    from mlbench_core.reference.lowering import lower
    from mlbench_core.reference.module import Module

    class Doubling(Module):
        def forward(self, x, mode):
            return 2 * x

        def backward(self, dy):
            return 2 * dy

    @lower.register
    def _(layer: Twice, site):
        return Doubling()

@hookimpl
def register_models():
    source = ModelSource("mlbenchfile:mine", lowerings={"numpy": "mlbenchfile:on_numpy"})
    return [ModelDescriptor(name="mine", source=source, takes="vector", description="")]
"""


def test_a_layer_and_its_lowerings_live_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: dict[str, float]
) -> None:
    (tmp_path / "mlbenchfile.py").write_text(LAYER)
    monkeypatch.chdir(tmp_path)
    results = Suite(frameworks=["numpy"], models=["mine"], num_epochs=1, output="out", measure=quick).run()
    assert [record.status for record in results.records] == ["ok", "ok"]
    assert [one.verdict for one in results.parity] == ["verified"]
