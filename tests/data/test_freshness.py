"""Prepared data are used again only while everything that they come from is as it was."""

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from mlbench_core.data import open_prepared, prepare
from mlbench_core.hookspecs import DatasetDescriptor
from mlbench_core.models import register_models
from mlbench_core.registry import Registry, load_registry

MLP = {m.name: m for m in register_models()}["mlp"]

LOADER = """
import numpy as np
from mlbench_core.data import Dataset
import {helper}
calls = []
def blobs(request):
    calls.append(request)
    y = np.arange(24) % {helper}.CLASSES
    return Dataset(name="", kind="vector", x_train=np.ones((24, 4)), y_train=y, x_val=np.ones((24, 4)), y_val=y,
                   num_classes={helper}.CLASSES)
def files(request):
    return [{file!r}]
"""
REGISTER = """
from mlbench_core.hookspecs import DatasetDescriptor, hookimpl
@hookimpl
def register_datasets():
    return [DatasetDescriptor(name="blobs", load="{module}:blobs", kind="vector", description="", files={files})]
"""


class Plugin:
    """A loader in a module of its own on the path, which imports another; imported anew, as the next process would."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.source = folder, folder / "source.csv"
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setattr(sys, "dont_write_bytecode", True)  # files change within the second
        (folder / "fresh_helper.py").write_text("CLASSES = 3")
        (folder / "fresh_loader.py").write_text(LOADER.format(helper="fresh_helper", file=str(self.source)))
        self.descriptor = DatasetDescriptor(name="blobs", load="fresh_loader:blobs", kind="vector", description="")
        self.named = evolve(self.descriptor, files="fresh_loader:files")

    def prepared(self, descriptor: DatasetDescriptor, **changes: Any) -> tuple[Path, int]:
        """The folder, and how often the loader was called."""
        for name in ("fresh_loader", "fresh_helper"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        request: dict[str, Any] = {"argument": "", "data_dir": None, "seed": 0, "cache": self.folder / "cache"}
        folder = prepare(descriptor, changes.pop("model", MLP), **{**request, **changes})
        return folder, len(sys.modules["fresh_loader"].calls)


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plugin:
    return Plugin(tmp_path, monkeypatch)


def test_a_loader_that_names_its_files_is_called_once(plugin: Plugin) -> None:
    folder, calls = plugin.prepared(plugin.named)
    assert calls == 1
    assert plugin.prepared(plugin.named) == (folder, 0)


def edit_the_loader(plugin: Plugin) -> None:
    path = plugin.folder / "fresh_loader.py"
    path.write_text(path.read_text().replace("np.ones", "np.zeros", 1))


def edit_what_it_imports(plugin: Plugin) -> None:
    (plugin.folder / "fresh_helper.py").write_text("CLASSES = 7")


def make_its_file(plugin: Plugin) -> None:
    plugin.source.write_text("1,2")


def touch_its_file(plugin: Plugin) -> None:
    os.utime(plugin.source, ns=(0, 10**9))


def lengthen_its_file(plugin: Plugin) -> None:
    plugin.source.write_text(plugin.source.read_text() + ",3")


def make_its_file_a_folder(plugin: Plugin) -> None:
    plugin.source.unlink()
    (plugin.source / "deep").mkdir(parents=True)


def add_a_file_to_the_folder(plugin: Plugin) -> None:
    (plugin.source / "deep" / "1.png").write_text("")


def test_any_change_of_code_or_files_makes_the_data_anew(plugin: Plugin) -> None:
    folders = [plugin.prepared(plugin.named)[0]]
    for change in (
        edit_the_loader,
        edit_what_it_imports,
        make_its_file,
        touch_its_file,
        lengthen_its_file,
        make_its_file_a_folder,
        add_a_file_to_the_folder,
    ):
        change(plugin)
        folder, calls = plugin.prepared(plugin.named)
        assert calls == 1, change
        assert folder not in folders, change
        folders.append(folder)


def test_a_file_that_keeps_its_size_and_time_is_seen_to_have_changed(plugin: Plugin) -> None:
    plugin.source.write_text("1")
    before = plugin.source.stat()
    folder, _ = plugin.prepared(plugin.named)
    plugin.source.write_text("2")
    os.utime(plugin.source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert plugin.prepared(plugin.named)[0] != folder


@pytest.mark.parametrize(
    "changes",
    [{"argument": "x"}, {"data_dir": "."}, {"model": evolve(MLP, min_image=2)}, {"model": evolve(MLP, max_length=2)}],
)
def test_whatever_is_asked_for_is_in_the_key(plugin: Plugin, changes: dict[str, Any]) -> None:
    folder, _ = plugin.prepared(plugin.named)
    other, calls = plugin.prepared(plugin.named, **changes)
    assert (other != folder, calls) == (True, 1)


def test_a_loader_of_real_data_cannot_depend_on_the_runs_seed(plugin: Plugin) -> None:
    folder, _ = plugin.prepared(plugin.named, seed=3)
    assert sys.modules["fresh_loader"].calls[0].seed == 0
    assert plugin.prepared(plugin.named, seed=4) == (folder, 0)


def test_a_loader_that_names_no_files_is_asked_every_time(plugin: Plugin) -> None:
    """It may read anything: what it returns decides whether the data were prepared before."""
    folder, calls = plugin.prepared(plugin.descriptor)
    written = (folder / "x_train.npy").stat().st_mtime_ns
    assert plugin.prepared(plugin.descriptor) == (folder, calls) == (folder, 1)
    assert (folder / "x_train.npy").stat().st_mtime_ns == written


def test_data_that_a_loader_reads_without_saying_so_are_never_stale(plugin: Plugin) -> None:
    path = plugin.folder / "fresh_loader.py"
    path.write_text(path.read_text().replace("fresh_helper.CLASSES", f"int(np.loadtxt({str(plugin.source)!r}))"))
    found = []
    for classes in (3, 7):
        plugin.source.write_text(str(classes))
        found.append(open_prepared(plugin.prepared(plugin.descriptor)[0]).num_classes)
    assert found == [3, 7]


def local(folder: Path, classes: int, module: str = "mlbenchfile", files: object = None) -> Path:
    """A folder with an mlbenchfile.py, its loader in it or in a module beside it, which imports another module beside it."""
    folder.mkdir(exist_ok=True)
    (folder / "beside.py").write_text(f"CLASSES = {classes}")
    loader = LOADER.format(helper="beside", file="source.csv")
    (folder / "mlbenchfile.py").write_text(REGISTER.format(module=module, files=files) + loader)
    (folder / "loader.py").write_text(loader)
    return folder


def classes(registry: Registry, cache: Path) -> int:
    registry.enter()
    with registry.as_it_is_now():
        folder = prepare(registry.dataset("blobs"), MLP, argument="", data_dir=None, seed=0, cache=cache)
    return open_prepared(folder).num_classes


@pytest.mark.parametrize("module", ["mlbenchfile", "loader"])
@pytest.mark.parametrize("files", [None, "mlbench_core.data:no_files"])
def test_a_data_set_belongs_to_its_folder(tmp_path: Path, module: str, files: str | None) -> None:
    """Two folders, each with its own data set of one name, in one process and with one cache."""
    one = load_registry(local(tmp_path / "one", 3, module, files and repr(files)))
    assert classes(one, tmp_path) == 3
    two = load_registry(local(tmp_path / "two", 7, module, files and repr(files)))
    assert [classes(each, tmp_path) for each in (two, one, two)] == [7, 3, 7]


@pytest.mark.parametrize("module", ["mlbenchfile", "loader"])
def test_a_loader_edited_in_place_is_the_one_that_is_used(tmp_path: Path, module: str) -> None:
    """Also where it was imported before it was edited: as long as before, and within the same second."""
    found = []
    for number in (3, 7):
        local(tmp_path, number, module, repr("mlbench_core.data:no_files"))
        if number == 3:
            registry = load_registry(tmp_path)
        found.append(classes(registry, tmp_path))
    assert found == [3, 7]


def test_folders_with_the_same_code_do_not_share_data(tmp_path: Path) -> None:
    """Their loaders may read what lies beside them."""
    for name in ("one", "two"):
        registry = load_registry(local(tmp_path / name, 3, files=repr("mlbench_core.data:no_files")))
        assert classes(registry, tmp_path) == 3
    assert len(list((tmp_path / "prepared").iterdir())) == 2
