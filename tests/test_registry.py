"""What the parent's plugins register, and that one that goes wrong is one line and costs nobody else."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from mlbench_core.descriptors import fault
from mlbench_core.errors import PluginError
from mlbench_core.hookspecs import DatasetDescriptor, ModelDescriptor
from mlbench_core.registry import Registry, load_registry
from mlbench_core.trial import ModelSource


def fake_distribution(folder: Path, name: str, code: str) -> None:
    """A distribution with one plugin, whose entry point and module are named after it."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    module = f"module_of_{name.replace('-', '_')}"
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[mlbench.plugins]\nsame = {module}\n")
    (folder / f"{module}.py").write_text(HEAD + code)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    return tmp_path


HEAD = """
from mlbench_core.hookspecs import DatasetDescriptor, ModelDescriptor, ReporterDescriptor, hookimpl
from mlbench_core.trial import ModelSource
def model(name, takes="vector", **more):
    return ModelDescriptor(name=name, source=ModelSource("mlbench_core.models.mlp:mlp"), takes=takes, description="", **more)
"""


def models(what: str) -> str:
    return f"@hookimpl\ndef register_models():\n    {what}\n"


def loaded(site: Path, said: str) -> Registry:
    """The registry, which warned of one thing, in one line."""
    with pytest.warns(UserWarning, match=said) as warned:
        registry = load_registry(site)
    assert len(warned) == 1
    assert "\n" not in str(warned[0].message)
    assert len(registry.faults) == 1
    assert {"mlp", "bert-tiny"} <= set(registry.models)
    return registry


@pytest.mark.parametrize("end", ["import no_such_thing", "raise SystemExit(3)", "1 / 0"])
def test_a_plugin_that_cannot_be_imported_is_left_out(site: Path, end: str) -> None:
    fake_distribution(site, f"mlbench-bad{len(end)}", end)
    loaded(site, r"^plugin 'same' of mlbench-bad\d+ 1.0 is left out: .*MLBENCH_DISABLE_PLUGINS=mlbench-bad\d+$")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import no_such_thing", "is left out: .*ModuleNotFoundError: No module named 'no_such_thing'"),
        ("@hookimpl\ndef register_modles(): return []", "is left out: .*register_modles"),
        ("@hookimpl\ndef register_models(speed): return []", "is left out: .*speed"),
        ("def register_models(:", "is left out: .*SyntaxError"),
    ],
)
def test_a_local_file_that_goes_wrong_is_left_out(tmp_path: Path, code: str, said: str) -> None:
    (tmp_path / "mlbenchfile.py").write_text(HEAD + code)
    loaded(tmp_path, f"mlbenchfile.py {said}")


def test_a_local_file_can_be_disabled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlbenchfile.py").write_text("import no_such_thing")
    monkeypatch.setenv("MLBENCH_DISABLE_PLUGINS", "mlbenchfile")
    assert load_registry(tmp_path).faults == ()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise ValueError('no\\nmore')", "register_models raised ValueError: no; what it registers is left out"),
        ("raise SystemExit(1)", "register_models raised SystemExit: 1; what it registers is left out"),
        ("pass", "register_models returned None, not a list of ModelDescriptor"),
        ("return {'mine': model('mine')}", "register_models returned a dict, not a list of ModelDescriptor"),
        ("return model('mine')", "register_models returned a ModelDescriptor, not a list of ModelDescriptor"),
        ("return ['mine', model('other')]", "register_models returned a str in its list, not a list of ModelDescr"),
    ],
)
def test_a_hook_that_goes_wrong_costs_what_it_registers(tmp_path: Path, code: str, said: str) -> None:
    data = "@hookimpl\ndef register_datasets(): return [dataset]\n"
    data = "dataset = DatasetDescriptor(name='d', load='a:b', kind='image', description='')\n" + data
    (tmp_path / "mlbenchfile.py").write_text(HEAD + models(code) + data)
    registry = loaded(tmp_path, f"^mlbenchfile.py: {said}")
    assert "mine" not in registry.models
    assert "d" in registry.datasets  # the plugin's other hooks are heard
    assert ("other" in registry.models) == ("other" in code)


def test_a_wrong_field_costs_its_model_and_says_which(tmp_path: Path) -> None:
    (tmp_path / "mlbenchfile.py").write_text(HEAD + models("return [model('mine', takes='picture'), model('good')]"))
    line = "mlbenchfile.py: the model 'mine' cannot be used: takes is 'picture', not one of image, vector, tokens"
    registry = loaded(tmp_path, f"^{line}$")
    assert registry.model("good").name == "good"
    with pytest.raises(PluginError, match=f"^models: {line}$"):
        registry.model("mine")


GOOD = ModelDescriptor(name="mine", source=ModelSource("a.b:c"), takes="vector", description="")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": 3}, "name is 3, not of type str"),
        ({"name": ""}, "name is '', not a name"),
        ({"name": "two words"}, "name is 'two words', not a name: one word"),
        ({"name": "a,b"}, "name is 'a,b', not a name"),
        ({"name": "all"}, "name is 'all', not a name: .* and not 'all'"),
        ({"name": "../up"}, "name is '../up', not a name"),
        ({"source": "a.b:c"}, "source is 'a.b:c', not of type ModelSource"),
        ({"source": ModelSource("a.b")}, "source.factory is 'a.b', not an import string"),
        ({"source": ModelSource("a:b", {"jax": "c:"})}, r"source.lowerings\['jax'\] is 'c:', not a module's name"),
        ({"source": ModelSource("a:b", native={"jax": 3})}, r"source.native\['jax'\] is 3, not of type str"),
        ({"source": ModelSource("a:b", native=[])}, r"source.native is \[\], not of type dict"),
        ({"takes": None}, "takes is None, not one of image, vector, tokens"),
        ({"takes": ["image"]}, r"takes is \['image'\], not one of image, vector, tokens"),
        ({"description": None}, "description is None, not of type str"),
        ({"aliases": "cnn"}, "aliases is 'cnn', not of type tuple"),
        ({"aliases": ("a", 1)}, r"aliases\[1\] is 1, not of type str"),
        ({"min_image": "32"}, "min_image is '32', not of type int"),
        ({"min_image": True}, "min_image is True, not of type int"),
        ({"max_length": 0}, "max_length is 0, not at least 1"),
    ],
)
def test_every_field_of_a_model_is_checked(changes: dict[str, Any], said: str) -> None:
    assert fault(GOOD) == ""
    assert re.match(said, fault(evolve(GOOD, **changes)))


def test_fields_of_data_sets_are_checked() -> None:
    good = DatasetDescriptor(name="d", load="a:b", kind="any", description="")
    assert fault(good) == ""
    assert fault(evolve(good, kind="pictures")) == "kind is 'pictures', not one of image, vector, tokens, any"
    assert fault(evolve(good, load=len)).startswith("load is <built-in function len>, not of type str")


def test_what_the_core_registers_is_right(tmp_path: Path) -> None:
    registry = load_registry(tmp_path)
    assert registry.faults == ()
    assert registry.contested == registry.faulty == {}
    assert {"json", "csv", "parity"} <= set(registry.reporters)


def test_plugins_of_one_name_are_both_loaded(site: Path) -> None:
    """Nobody asks for an entry point of `mlbench.plugins` by its name: two of one name do not stop one another."""
    for which in ("x", "y"):
        fake_distribution(site, f"mlbench-{which}", models(f"return [model('model-{which}')]"))
    assert {"model-x", "model-y", "mlp"} <= set(load_registry(site).models)


def test_a_model_registered_twice_fails_only_who_asks_for_it(site: Path) -> None:
    fake_distribution(site, "mlbench-twin", models("return [model('resnet18'), model('own', aliases=('cnn',))]"))
    registry = load_registry(site)
    assert registry.faults == ()
    said = (
        "^models: the model 'resnet18' is registered by plugin 'models' of mlbench-core .* and plugin 'same' of "
        "mlbench-twin 1.0: set MLBENCH_DISABLE_PLUGINS=mlbench-twin to leave one out, or uninstall it$"
    )
    with pytest.raises(PluginError, match=said):
        registry.model("resnet18")
    with pytest.raises(PluginError, match="the model 'cnn' is registered by"):
        registry.model("cnn")
    assert registry.model("own").name == "own"
    assert registry.model("mlp").name == "mlp"


def test_a_name_that_exists_is_to_be_renamed_in_the_local_file(tmp_path: Path) -> None:
    """It is the file that its owner can edit; and disabling the file would take everything else in it out, too."""
    (tmp_path / "mlbenchfile.py").write_text(HEAD + models("return [model('resnet18')]"))
    said = (
        "the model 'resnet18' is registered by plugin 'models' of .* and mlbenchfile.py: rename it in mlbenchfile.py$"
    )
    with pytest.raises(PluginError, match=said):
        load_registry(tmp_path).model("resnet18")


def test_a_name_registered_twice_by_one_plugin(tmp_path: Path) -> None:
    (tmp_path / "mlbenchfile.py").write_text(HEAD + models("return [model('mine'), model('mine')]"))
    with pytest.raises(PluginError, match="mlbenchfile.py registers the model 'mine' twice: rename one"):
        load_registry(tmp_path).model("mine")


def test_the_cores_reporters_stay(tmp_path: Path) -> None:
    """Nobody asks for a reporter by its name, so the first one of a name stays, and the core's is first."""
    code = "@hookimpl\ndef register_reporters(): return [ReporterDescriptor('csv', 'a:b', '')]\n"
    (tmp_path / "mlbenchfile.py").write_text(HEAD + code)
    registry = loaded(tmp_path, "mlbenchfile.py: its reporter 'csv' is left out, for plugin 'files' of mlbench-core")
    assert registry.reporters["csv"].write == "mlbench_core.report.files:write_csv"


def test_a_hook_around_a_run_that_raises_is_warned_of_once_and_stops_nobody(site: Path) -> None:
    hook = "@hookimpl\ndef trial_finished(record):\n    record.append(__name__)\n"
    fake_distribution(site, "mlbench-aa", hook)
    fake_distribution(site, "mlbench-bb", hook + "    raise KeyError('no')\n")
    fake_distribution(site, "mlbench-cc", hook)
    registry = load_registry(site)
    seen: list[str] = []
    with pytest.warns(
        UserWarning, match="'same' of mlbench-bb 1.0: trial_finished raised KeyError: 'no'; it is not ca"
    ):
        registry.tell("trial_finished", record=seen)
    registry.tell("trial_finished", record=seen)
    assert sorted(seen) == sorted([f"module_of_mlbench_{which}" for which in ("aa", "bb", "cc", "aa", "cc")])
